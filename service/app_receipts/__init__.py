"""What a brand's own app reports: taps and opens of push messages, signed by the device that they happened on."""
