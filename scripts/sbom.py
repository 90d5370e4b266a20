"""Makes the bill of materials of a lock: `sbom.py <cyclonedx-py> <requirements> <output>`.

CycloneDX's own program reads the lock. It quotes each line with all hashes in a description, which
is left out, as are the index's pages: the lock itself has the hashes, and the image is made from
it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def main(program: str, requirements: str, output: str) -> None:
    """Write it."""
    command = [program, "requirements", requirements, "--pyproject", "pyproject.toml"]
    made = subprocess.run(
        [*command, "--output-reproducible", "--validate"], check=True, capture_output=True
    )
    bill = json.loads(made.stdout)
    for component in bill["components"]:
        del component["description"], component["externalReferences"]
        component["bom-ref"] = component["purl"]
    bill["dependencies"] = [{"ref": one["purl"]} for one in bill["components"]]
    # Which program made it, without the pages about it.
    for tool in bill["metadata"]["tools"]["components"]:
        del tool["externalReferences"]
    Path(output).write_text(json.dumps(bill, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
