"""What every request passes before an endpoint sees it."""
