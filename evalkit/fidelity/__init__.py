"""Files of one model against a reference: next-token distributions on the reference's own answers."""
