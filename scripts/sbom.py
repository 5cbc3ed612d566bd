"""Bill of materials of the one file, as CycloneDX JSON, made from the wheels that are in it."""

from __future__ import annotations

import datetime
import email.message
import email.parser
import hashlib
import uuid
import zipfile
from pathlib import Path

from cyclonedx.factory.license import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.bom_ref import BomRef
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# For names that are made of a content, so that the same content has the same name.
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:forumapi:sbom")


def _sha256(data: bytes) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=hashlib.sha256(data).hexdigest())


def _metadata(wheel: zipfile.ZipFile) -> email.message.Message:
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return email.parser.BytesParser().parsebytes(wheel.read(name))


def _license(metadata: email.message.Message) -> str:
    """Return a package's licence as it names it: the expression, else its classifiers, else its field `License`."""
    if expression := metadata["License-Expression"]:
        return str(expression)
    kinds = [one for one in metadata.get_all("Classifier", []) if one.startswith("License :: ")]
    if kinds:
        return " OR ".join(kind.rpartition(" :: ")[2] for kind in kinds)
    line = str(metadata["License"] or "").strip()
    return line if line and "\n" not in line else ""


def _libraries(package: str, wheel: zipfile.ZipFile) -> list[Component]:
    """Return the native libraries that a wheel contains (libpq, OpenSSL, the parts of PostgreSQL)."""
    found = []
    for name in sorted(wheel.namelist()):
        folder, _, file = name.rpartition("/")
        if folder.split("/")[0].endswith(".libs") and ".so" in file:
            found.append(
                Component(
                    name=file,
                    type=ComponentType.LIBRARY,
                    bom_ref=f"{package}/{name}",
                    hashes=[_sha256(wheel.read(name))],
                )
            )
    return found


def bill(file: Path, own: Path, others: list[Path], build: str, epoch: int) -> str:
    """Return the bill of `file`, which holds the project's wheel `own` and the wheels `others`. `epoch`: time of the
    build.
    """
    factory = LicenseFactory()
    bom = Bom()
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    components: dict[str, Component] = {}
    needs: dict[str, set[str]] = {}
    for path in (own, *others):
        with zipfile.ZipFile(path) as wheel:
            metadata = _metadata(wheel)
            name, version = str(metadata["Name"]), str(metadata["Version"])
            key = canonicalize_name(name)
            purl = PackageURL("pypi", None, key, version)
            said = _license(metadata)
            component = Component(
                name=name,
                version=version,
                type=ComponentType.APPLICATION if path == own else ComponentType.LIBRARY,
                bom_ref=f"{key}@{version}",
                purl=None if path == own else purl,
                description=metadata["Summary"],
                licenses=[factory.make_from_string(said)] if said else None,
                hashes=[_sha256(file.read_bytes() if path == own else path.read_bytes())],
                components=_libraries(key, wheel),
            )
            if path == own:
                component.version = f"{version}+{build}"
        components[key] = component
        wanted = map(Requirement, metadata.get_all("Requires-Dist", []))
        needs[key] = {canonicalize_name(one.name) for one in wanted}
    main = components["forumapi"]
    for key, component in components.items():
        if component is not main:
            bom.components.add(component)
        # What a package needs under conditions that don't hold here, or for an extra nobody asked for, is not there.
        bom.register_dependency(
            component, [components[name] for name in sorted(needs[key] & components.keys())]
        )
    bom.metadata = BomMetaData(
        component=main, timestamp=datetime.datetime.fromtimestamp(epoch, datetime.UTC)
    )
    bom.serial_number = uuid.uuid5(_NAMESPACE, digest)
    assert isinstance(main.bom_ref, BomRef)
    return JsonV1Dot6(bom).output_as_string(indent=1) + "\n"
