#!/usr/bin/env bash
# Installs what building Knarr and running its tests needs from Debian's
# packages, where it is missing. Where it may not, it prints the line to run.
set -euo pipefail

need=(gcc make pkg-config libseccomp-dev curl)
missing=()
for package in "${need[@]}"; do
	dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done

if ! command -v go >/dev/null; then
	echo "knarr: Go 1.26 or newer is needed: see https://go.dev/doc/install" >&2
	exit 1
fi
((${#missing[@]})) || exit 0

if ! command -v apt-get >/dev/null; then
	echo "knarr: install with your package manager, then try again: gcc, make, pkg-config and libseccomp with its headers and static library" >&2
	exit 1
fi
line="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
if ((EUID != 0)); then
	if sudo -n true 2>/dev/null; then
		sudo -n sh -c "DEBIAN_FRONTEND=noninteractive; export DEBIAN_FRONTEND; $line" >&2
		exit 0
	fi
	echo "knarr: packages are missing. Run this, then try again:" >&2
	echo "    sudo sh -c '$line'" >&2
	exit 1
fi
echo "knarr: installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
sh -c "$line" >&2
