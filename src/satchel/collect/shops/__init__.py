"""Photos on the product pages of shops: sitemap → pages → products in their mark-up → catalogue.

`sitemap` and `markup` read what strangers wrote, within limits and without expanding entities;
`matching` says which product of the catalogue is meant, and `reading` goes from page to page.
"""
