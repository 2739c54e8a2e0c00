"""Signed messages to other programs about what happens: see https://www.standardwebhooks.com.

`publish` writes deliveries in the transaction of the event, `sending` sends them as jobs, `signing`
signs them, `store` is for those who see to them.
"""
