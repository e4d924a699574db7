"""Providers of SMS, WhatsApp, RCS and other chats."""
