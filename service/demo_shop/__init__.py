"""A shop's landing page for the demo: where its reward links lead. It is part of no product."""
