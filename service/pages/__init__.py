"""What all pages for customers share: words in the brand's language, its colours and logo, and how a page is sent."""
