"""The bill of materials of an engine's environment, CycloneDX, with what its wheels have compiled in.

``bill.py ENVIRONMENT.json SITE-PACKAGES``: the bill that cyclonedx-py made of an environment, and that environment's
packages. A wheel that links other people's code tells so by bills of its own in its .dist-info (PEP 770): cryptography
names its OpenSSL and its Rust crates there. They become components of the component that carries them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator


def carried(component: dict[str, Any], site: Path) -> list[dict[str, Any]]:
    """The components that a package's own bills list, each reference made one of this bill's own."""
    stem = f"{component['name'].replace('-', '_')}-{component['version']}.dist-info"
    found = []
    for bill in sorted((site / stem / "sboms").glob("*.json")):
        for inner in json.loads(bill.read_text()).get("components", []):
            reference = f"{component['bom-ref']}/{bill.stem}/{inner['name']}=={inner.get('version', '')}"
            found.append({**inner, "bom-ref": reference})
    return found


def main(environment: str, site: str) -> None:
    bill = json.loads(Path(environment).read_text())
    for component in bill["components"]:
        inner = carried(component, Path(site))
        if inner:
            component["components"] = inner
    told = json.dumps(bill, indent=2, sort_keys=True)
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(told)
    if wrong is not None:
        raise SystemExit(f"the bill is not CycloneDX 1.6: {wrong}")
    print(told)


if __name__ == "__main__":
    main(*sys.argv[1:])
