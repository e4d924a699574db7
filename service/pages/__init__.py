"""What all customer pages share: texts in the brand's language, colours and logo, and how a page is sent."""
