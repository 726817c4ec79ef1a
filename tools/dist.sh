#!/usr/bin/env bash
# Packs built knarrs for machines that have nothing of ours: an archive and a
# Debian package of each, both with man pages and shell completions, and
# checksums. The first program runs on this machine and tells of itself.
#
#     tools/dist.sh FOLDER PROGRAM...
set -euo pipefail

mkdir -p "$1"
out=$(realpath "$1")
shift
programs=()
for program; do programs+=("$(realpath "$program")"); done
cd "$(dirname "$0")/.."

commit=$(git rev-parse --short=12 HEAD)
# A release is its tag; anything else sorts before the first release.
version=$(git describe --tags --exact-match 2>/dev/null | sed 's/^v//') || true
version=${version:-0.0~$(git log -1 --format=%cd --date=format:%Y%m%d)+$commit}
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
chmod 755 "$tree"

# What is the same for every processor.
share=$tree/share
mkdir -p "$share/man/man8" "$share/doc/knarr" "$share/bash-completion/completions" "$share/zsh/vendor-completions" "$share/fish/vendor_completions.d"
go run ./tools/man -out "$share/man/man8" -version "$version"
gzip -9n "$share"/man/man8/*
"${programs[0]}" completion bash >"$share/bash-completion/completions/knarr"
"${programs[0]}" completion zsh >"$share/zsh/vendor-completions/_knarr"
"${programs[0]}" completion fish >"$share/fish/vendor_completions.d/knarr.fish"
install -m 644 LICENSE "$share/doc/knarr/copyright"
install -m 644 NOTICE README.md "$share/doc/knarr/"

# pack PROGRAM
pack() {
	local program=$1 arch package name
	if file=$(readelf -l "$program" 2>/dev/null) && grep -q INTERP <<<"$file"; then
		echo "dist: $program is not static: it would not run everywhere" >&2
		exit 1
	fi
	arch=$(go version -m "$program" | awk '$2 ~ /^GOARCH=/ { sub("GOARCH=", "", $2); print $2 }')
	package=$tree/package-$arch
	mkdir -p "$package/usr/bin" "$package/DEBIAN"
	install -m 755 "$program" "$package/usr/bin/knarr"
	cp -a "$share" "$package/usr/share"
	cat >"$package/DEBIAN/control" <<CONTROL
Package: knarr
Version: $version
Architecture: $arch
Maintainer: The Knarr authors <knarr@knarr.io>
Installed-Size: $(du -sk --exclude=DEBIAN "$package" | cut -f1)
Section: admin
Priority: optional
Recommends: ca-certificates
Description: all of Kubernetes in one small ship
 One program that brings a Kubernetes cluster up in a second: API server,
 controllers, scheduler, node agent, container runtime, network, DNS and
 Ingress. "knarr up" starts it, "knarr install" makes it a service.
CONTROL
	# The cluster is the administrator's: an upgrade leaves it running, and the
	# next "knarr up" takes the new program.
	cat >"$package/DEBIAN/prerm" <<'PRERM'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ] && [ -e /etc/systemd/system/knarr.service ]; then
	knarr uninstall
fi
PRERM
	chmod 755 "$package/DEBIAN/prerm"
	find "$package" -newermt "@$SOURCE_DATE_EPOCH" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

	name=knarr_${version}_$arch
	dpkg-deb --root-owner-group -Zgzip -z6 --build "$package" "$out/$name.deb" >/dev/null
	mkdir "$tree/$name"
	cp -a "$package/usr/bin/knarr" "$share/doc/knarr/NOTICE" "$share/doc/knarr/README.md" LICENSE "$share/man" "$share/bash-completion/completions" "$tree/$name/"
	cp -a "$share/zsh/vendor-completions/_knarr" "$share/fish/vendor_completions.d/knarr.fish" "$tree/$name/completions/"
	tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -C "$tree" -czf "$out/$name.tar.gz" "$name"
	files+=("$name.deb" "$name.tar.gz")
	echo "the program: $(du -h --apparent-size "$program" | cut -f1), static, linux/$arch, version $version"
}

files=()
for program in "${programs[@]}"; do pack "$program"; done
(cd "$out" && sha256sum "${files[@]}" >SHA256SUMS && echo "in $out:" && du -h --apparent-size "${files[@]}" SHA256SUMS | sed 's/^/  /')
