"""The resale service: accounts, listings, experts, sale; optional (`[market]`)."""
