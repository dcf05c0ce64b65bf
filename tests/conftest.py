"""What every test shares: the package's own fixture, so that it is tested by every use."""

pytest_plugins = ["hsm.testing"]
