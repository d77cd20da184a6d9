"""A second implementation of docs/PROTOCOL.md and docs/BITSTREAM.md, written from the two pages and the .proto files."""
