#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# rootfs.sh ROOT PROGRAM...: everything that the programs need at run time and nothing else: their libraries, time zones,
# character sets of SQL Server's collations, certificate authorities, names of users. No shell, no package manager.
set -eu
root=$1
shift
LIB=/usr/lib/$(gcc -print-multiarch)

# What collations can have: their code pages, and what TDS itself speaks.
CHARSETS='UTF-16 UTF-32 UNICODE UTF-7 ISO-8859-1 ISO-8859-15 CP437 CP850 CP874 CP932 CP936 CP949 CP950 CP1250 CP1251 CP1252
    CP1253 CP1254 CP1255 CP1256 CP1257 CP1258 GB18030 GBK BIG5-HKSCS EUC-JP EUC-KR SJIS'

put() { # FILE [AS]: a file with its folder
    install -D -m "$(stat -L -c %a "$1")" "$1" "$root${2:-$1}"
}

libraries() { # FILE: the libraries that the linker would load, by the names it asks for
    ldd "$1" | awk '$2 == "=>" && $3 ~ "^/" {print $3} $1 ~ "^/" {print $1}'
}

# The module that converts a character set, from the lines of gconv-modules: `alias NAME// CANON//`, `module CANON// INTERNAL MODULE COST`.
module_of() {
    awk -v name="$1//" '
        $1 == "alias" {alias[$2] = $3}
        $1 == "module" && $3 == "INTERNAL" && !($2 in module) {module[$2] = $4}
        END {if (name in alias && !(name in module)) name = alias[name]; print module[name]}
    ' "$LIB"/gconv/gconv-modules "$LIB"/gconv/gconv-modules.d/*.conf
}

programs() {
    for program; do
        install -D -m 0755 "$program" "$root/usr/bin/${program##*/}"
        for library in $(libraries "$program"); do put "$library" "$LIB/${library##*/}"; done
    done
    # where programs look for their loader, and libraries for each other
    mkdir -p "$root/usr/lib64"
    mv "$root$LIB/ld-linux-x86-64.so.2" "$root/usr/lib64/"
    ln -s usr/lib64 "$root/lib64"
    ln -s usr/lib "$root/lib"
}

character_sets() {
    for charset in $CHARSETS; do
        module=$(module_of "$charset")
        [ -n "$module" ] || { echo "rootfs: no module for $charset" >&2; exit 1; }
        put "$LIB/gconv/$module.so"
        for library in $(libraries "$LIB/gconv/$module.so"); do
            case $library in */gconv/*) put "$library" ;; esac
        done
    done
    put "$LIB/gconv/gconv-modules"
    for list in "$LIB"/gconv/gconv-modules.d/*.conf; do put "$list"; done
    # only lines of modules that are there: a missing one must be an error at once, not an attempt to load it
    for list in "$root$LIB"/gconv/gconv-modules "$root$LIB"/gconv/gconv-modules.d/*.conf; do
        awk -v dir="$root$LIB/gconv/" '
            $1 == "module" {file = dir $4 ".so"; if ((getline line < file) < 0) next; close(file)}
            {print}' "$list" >"$list.new"
        mv "$list.new" "$list"
    done
    iconvconfig --prefix="$root"
}

data() {
    mkdir -p "$root/usr/share/zoneinfo"
    cp -R /usr/share/zoneinfo/. "$root/usr/share/zoneinfo/"
    rm -rf "$root/usr/share/zoneinfo/right" "$root/usr/share/zoneinfo/posix"
    put /etc/ssl/certs/ca-certificates.crt
    put /etc/ssl/openssl.cnf
    mkdir -p "$root/usr/lib/ssl" # where Debian's OpenSSL looks
    ln -s /etc/ssl/openssl.cnf "$root/usr/lib/ssl/openssl.cnf"
    ln -s /etc/ssl/certs/ca-certificates.crt "$root/usr/lib/ssl/cert.pem"
    printf 'root:x:0:0:root:/:/nologin\nmssql:x:10001:10001:SQL Server:/var/opt/mssql:/nologin\nnobody:x:65534:65534:nobody:/:/nologin\n' >"$root/etc/passwd"
    printf 'root:x:0:\nmssql:x:10001:\nnogroup:x:65534:\n' >"$root/etc/group"
    printf 'hosts: files dns\npasswd: files\ngroup: files\n' >"$root/etc/nsswitch.conf"
    mkdir -p "$root/tmp" "$root/proc" "$root/sys" "$root/dev" "$root/run" "$root/var/opt/mssql" "$root/etc/mssql-sidecar"
    chmod 1777 "$root/tmp"
    for folder in run/mssql-sidecar var/lib/mssql-sidecar backup-store; do
        mkdir -p "$root/$folder"
        chown 10001:10001 "$root/$folder"
    done
}

# The texts that the licences of the libraries ask for.
licences() {
    install -D -m 0644 /src/LICENSE "$root/usr/share/doc/mssql-sidecar/LICENSE"
    find "$root/usr/lib" -name '*.so*' | sed "s|^$root||" | while read -r file; do
        real=$(readlink -f "$file")
        dpkg -S "$real" "${real#/usr}" 2>/dev/null | head -n 1 | cut -d: -f1
    done | sort -u | while read -r package; do
        put "/usr/share/doc/$package/copyright"
    done
}

umask 022
rm -rf "$root"
mkdir -p "$root/etc"
programs "$@"
character_sets
data
licences
