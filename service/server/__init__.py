"""The server: how it speaks HTTP, sheds load, and listens."""
