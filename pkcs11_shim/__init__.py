"""The Python side of the PKCS#11 library: its declarations, generator and build."""
