"""The Engine API: decode a request → one service call → encode the answer. No decisions are made here."""
