"""The API reference: the OpenAPI description made from the routes, and the pages that show it."""
