"""Methods that take a trait out of rows: one file each, found by walking this folder."""
