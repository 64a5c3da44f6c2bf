"""What both ends of an NTCIP 1202 line agree on: objects, numbering, credentials."""
