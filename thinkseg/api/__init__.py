"""The public calls, one module each; `thinkseg` itself exports them."""
