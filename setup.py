"""What pyproject.toml cannot say: three folders of the repository root are part of the package.

`search_spaces/` and `latency_tables/` stand at the root because people edit them as data,
`firmware/` because it is a project of its own; a wheel carries them as `hybrid_nas/search_spaces`
and so on. Everything else about the package is in pyproject.toml.
"""

from setuptools import find_packages, setup

ROOT_DATA = ("search_spaces", "latency_tables", "firmware")

setup(
    packages=[
        *find_packages(include=["hybrid_nas", "hybrid_nas.*"]),
        *(f"hybrid_nas.{folder}" for folder in ROOT_DATA),
    ],
    package_dir={f"hybrid_nas.{folder}": folder for folder in ROOT_DATA},
)
