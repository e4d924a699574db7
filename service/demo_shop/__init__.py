"""The demo's shop, where its reward links lead. It is part of no product."""
