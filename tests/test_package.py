"""The package as pip makes and installs it: one wheel for every Python, a library that needs libc and nothing else."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from pkcs11_shim import generate

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "tools/locked/engine.txt"


def run(*command: str | Path, cwd: Path | None = None, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


def needed_by(name: str) -> set[str]:
    """The packages that one can't do without, itself left out, as their own metadata have it."""
    wanted = map(Requirement, metadata.requires(name) or ())
    direct = {each.name for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})}
    return direct.union(*map(needed_by, direct))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git has of this checkout and nothing else: no library built before, no leftovers."""
    folder = tmp_path_factory.mktemp("source")
    names = run("git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard").split("\n")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, source)
    (made,) = folder.iterdir()
    return made


@pytest.fixture(scope="module")
def library(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library")
    with zipfile.ZipFile(wheel) as packed:
        return Path(packed.extract("pkcs11_shim/adyton-pkcs11.so", folder))


def test_the_wheel_is_the_same_wherever_it_is_made(source: Path, tmp_path: Path) -> None:
    """Another folder, another temporary one, another umask, time zone and language: the same bytes."""
    found = []
    left_out = shutil.ignore_patterns("build", "*.egg-info")
    for name, umask, zone, language in (("one", 0o022, "UTC", "C.UTF-8"), ("another", 0o077, "Pacific/Chatham", "C")):
        copied = shutil.copytree(source, tmp_path / name / "source", ignore=left_out)
        scratch = tmp_path / name / "scratch"
        scratch.mkdir()
        given = {"SOURCE_DATE_EPOCH": "1700000000", "TZ": zone, "LC_ALL": language, "TMPDIR": str(scratch)}
        make = ["pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", scratch, copied]
        command = [sys.executable, "-m", *make]
        subprocess.run(command, env={**os.environ, **given}, check=True, capture_output=True, umask=umask)
        (made,) = scratch.glob("*.whl")
        found.append(made.read_bytes())
    assert found[0] == found[1]


def test_one_wheel_for_every_python(wheel: Path) -> None:
    assert re.fullmatch(r"adyton-[\d.]+-py3-none-linux_\w+\.whl", wheel.name)
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
    assert "hsm/server/launcher.py" in names and "hsm/mechanisms/_libcrypto.abi3.so" in names
    assert not [name for name in names if name.startswith(("tests/", "tools/", "c_src/"))]


def test_what_an_engine_imports_is_pinned() -> None:
    """tools/locked/engine.txt: every package that Adyton needs, and theirs, at the version which the tests ran with."""
    pinned = dict(re.findall(r"^([\w.-]+)==([\w.]+) \\\n    --hash=sha256:[0-9a-f]{64}", LOCK.read_text(), re.M))
    assert needed_by("adyton") <= set(pinned)
    assert {name: metadata.version(name) for name in pinned} == pinned


@pytest.mark.long
def test_a_release(source: Path, tmp_path: Path) -> None:
    """What tools/release puts into dist/, from a commit of what is here now. Where nobody can be asked for known
    vulnerabilities it fails, and says so."""
    shutil.copytree(source, tmp_path / "source", ignore=shutil.ignore_patterns("build", "*.egg-info"))
    git = ["git", "-C", str(tmp_path / "source"), "-c", "user.name=release", "-c", "user.email=release@localhost"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "a release"]):
        run(*git, *words)
    made = subprocess.run([tmp_path / "source/tools/release"], capture_output=True, text=True, timeout=600)
    dist = tmp_path / "source/dist"
    run("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=dist)
    bill = json.loads((dist / "sbom.cdx.json").read_text())
    names = {component["name"]: component for component in bill["components"]}
    assert set(names) == {"cffi", "cryptography", "pyasn1", "pycparser"}
    assert "openssl" in {inner["name"] for inner in names["cryptography"]["components"]}
    assert "/" not in json.dumps(bill["metadata"]["component"].get("bom-ref", ""))
    assert str(tmp_path) not in json.dumps(bill)
    told = made.stdout + made.stderr
    assert ("no known vulnerability" in told) if made.returncode == 0 else ("is not known" in told), told[-3000:]
    (tmp_path / "source/left-over").write_text("")
    again = subprocess.run([tmp_path / "source/tools/release"], capture_output=True, text=True, timeout=60)
    assert again.returncode == 1 and "A release is made of a commit" in again.stderr


def test_the_library_needs_libc_only(library: Path) -> None:
    told = run("readelf", "-d", library)
    needed = set(re.findall(r"\(NEEDED\).*\[(.+)\]", told))
    assert needed <= {"libc.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"} and "libc.so.6" in needed
    assert "RUNPATH" not in told and "RPATH" not in told


def test_the_library_exports_the_functions_of_the_standard(library: Path) -> None:
    told = run("nm", "-D", "--defined-only", library)
    exported = {line.split()[-1] for line in told.splitlines()}
    ffi, _ = generate.declarations()
    assert exported == {name for name, _ in ffi.typeof("CK_FUNCTION_LIST_3_2").fields[1:]}
    wanted = run("nm", "-D", "--undefined-only", library)
    assert "Py" not in wanted and "pthread_create" not in wanted and "atexit" not in wanted


@pytest.mark.long
def test_without_libcryptos_headers_raw_rsa_is_left_out(source: Path, tmp_path: Path) -> None:
    """A compiler that fails at just that, as where there is no libssl-dev: the rest is a wheel all the same."""
    compiler = tmp_path / "cc"
    compiler.write_text('#!/bin/sh\ncase "$*" in *_libcrypto*) exit 1 ;; esac\nexec cc "$@"\n')
    compiler.chmod(0o755)
    environment = {**os.environ, "CC": str(compiler)}
    shutil.rmtree(source / "build", ignore_errors=True)  # what another test compiled
    folder = tmp_path / "wheel"
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, source, environment=environment)
    (made,) = folder.iterdir()
    with zipfile.ZipFile(made) as packed:
        names = packed.namelist()
    assert "pkcs11_shim/adyton-pkcs11.so" in names and "hsm/mechanisms/rsa_raw.py" in names
    assert not [name for name in names if "_libcrypto" in name]


@pytest.mark.long
def test_a_source_distribution_builds(source: Path, tmp_path: Path) -> None:
    backend = "from setuptools import build_meta; print(build_meta.build_sdist('sdist'))"
    environment = tmp_path / "environment"
    run(sys.executable, "-m", "venv", environment)
    run(environment / "bin/pip", "install", "-q", "setuptools>=77.0.3")
    name = run(environment / "bin/python", "-c", backend, cwd=source).split()[-1]
    with tarfile.open(source / "sdist" / name) as packed:
        packed.extractall(tmp_path, filter="data")
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path / "wheel", tmp_path / name[:-7])
    assert len(list((tmp_path / "wheel").iterdir())) == 1


def walks(module: str, home: Path) -> None:
    """With nothing in the environment but the pool: a token, a key, a signature."""
    environment = {"PATH": "/usr/bin:/bin", "ADYTON_HOME": str(home / "pool"), "HOME": str(home)}
    tool = ["pkcs11-tool", "--module", module]
    run(*tool, "--init-token", "--slot", "0", "--label", "walks", "--so-pin", "12345678", environment=environment)
    so = ["--login", "--login-type", "so", "--so-pin", "12345678"]
    run(*tool, *so, "--init-pin", "--pin", "1234-walks", environment=environment)
    pair = ["--keypairgen", "--key-type", "EC:prime256v1", "--id", "01"]
    run(*tool, "--login", "--pin", "1234-walks", *pair, environment=environment)
    (home / "digest").write_bytes(bytes(32))
    files = ["-i", str(home / "digest"), "-o", str(home / "signature")]
    run(*tool, "--login", "--pin", "1234-walks", "--sign", "-m", "ECDSA", *files, environment=environment)
    assert (home / "signature").stat().st_size == 64


@pytest.mark.long
def test_in_a_virtual_environment_and_through_a_link(source: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    run(sys.executable, "-m", "venv", environment)
    run(environment / "bin/pip", "install", "-q", source)
    adyton = environment / "bin/adyton"
    (tmp_path / "one").mkdir()
    walks(run(adyton, "module-path").strip(), tmp_path / "one")
    (tmp_path / "two").mkdir()
    run(adyton, "install-module", "--dir", tmp_path / "linked")
    walks(str(tmp_path / "linked/adyton-pkcs11.so"), tmp_path / "two")
    for home in ("one", "two"):
        run(adyton, "stop", environment={**os.environ, "ADYTON_HOME": str(tmp_path / home / "pool")})


@pytest.mark.long
def test_for_one_user_of_debians_python(source: Path, tmp_path: Path) -> None:
    """As ``pip install --user --break-system-packages`` does it: the packages lie where ``python -I`` does not look."""
    python = "/usr/bin/python3"
    environment = {
        **{name: value for name, value in os.environ.items() if name.startswith("PIP_")},
        "PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONUSERBASE": str(tmp_path / "base"),
        "ADYTON_HOME": str(tmp_path / "pool"),
    }
    install = ["-m", "pip", "install", "-q", "--user", "--break-system-packages"]
    run(python, *install, source, environment=environment)
    adyton = tmp_path / "base/bin/adyton"
    walks(run(adyton, "module-path", environment=environment).strip(), tmp_path)
    run(adyton, "stop", environment=environment)
