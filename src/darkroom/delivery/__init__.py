"""Webhooks: noted in the transaction that moves a media, sent from a table by every process that serves."""
