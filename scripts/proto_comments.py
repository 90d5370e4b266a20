"""Write the comments of a descriptor set as JSON, by full name: proto_comments.py IN OUT.

The generated Python code has no comments in it; the description of the HTTP calls needs them.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

# Numbers of the lists in a file, a message, an enum and a service: descriptor.proto.
MESSAGES, ENUMS, SERVICES, FIELDS, NESTED, ENUMS_INSIDE, VALUES, METHODS = 4, 5, 6, 2, 3, 4, 2, 2


def comments(file: FileDescriptorProto) -> Iterator[tuple[str, str]]:
    """Give each commented thing's full name with its comment on one line."""
    for location in file.source_code_info.location:
        name = name_of(file, list(location.path))
        if name and location.leading_comments:
            yield name, " ".join(location.leading_comments.split())


def name_of(file: FileDescriptorProto, path: list[int]) -> str:
    """Give the full name of what a path leads to; empty for what has none."""
    names, here, lists = (
        [file.package],
        None,
        {MESSAGES: file.message_type, ENUMS: file.enum_type, SERVICES: file.service},
    )
    while path:
        if len(path) < 2 or path[0] not in lists:
            return ""
        here = lists[path[0]][path[1]]
        names.append(here.name)
        lists = {}
        for number, attribute in (
            (FIELDS, "field"),
            (NESTED, "nested_type"),
            (ENUMS_INSIDE, "enum_type"),
            (VALUES, "value"),
            (METHODS, "method"),
        ):
            if hasattr(here, attribute):
                lists[number] = getattr(here, attribute)
        path = path[2:]
    return ".".join(names) if here is not None else ""


def main(source: str, target: str) -> None:
    """Write the file."""
    files = FileDescriptorSet.FromString(Path(source).read_bytes()).file
    found = dict(sorted(pair for file in files for pair in comments(file)))
    Path(target).write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
