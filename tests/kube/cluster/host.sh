# shellcheck shell=bash disable=SC2154 # settings of `cluster`
# SPDX-License-Identifier: Apache-2.0
# Starting and ending a cluster, seen from the machine. Sourced by `cluster`.
# The node's address sits on a bridge without ports, because this kernel may lack the dummy driver.
network() {
    ip netns add "$name"
    ip -n "$name" link set lo up
    ip -n "$name" link add node type bridge
    ip -n "$name" address add "$node_ip/32" dev node
    ip -n "$name" link set node up
    ip -n "$name" route add "$service_net" dev node # else the node has no packet to a Service for kube-proxy to rewrite
    nsenter --net="/run/netns/$name" sysctl -qw net.ipv4.ip_forward=1
}

# One cgroup of our own in each v1 hierarchy: kubelet makes kubepods under it, the programs themselves run in system/.
cgroups() {
    local hierarchy
    for hierarchy in /sys/fs/cgroup/*/; do
        [[ $hierarchy == */unified/ ]] || mkdir -p "$hierarchy$name/system"
    done
}

# Fails while a process still ends in one of them.
no_cgroups() {
    find /sys/fs/cgroup/*/"$name" -depth -type d -exec rmdir {} + 2>/dev/null || true
    ! compgen -G "/sys/fs/cgroup/*/$name" >/dev/null
}

# The host's id of the first process inside; fails when none runs.
supervisor() {
    local parent
    parent=$(cat "$state/pid" 2>/dev/null) || return 1
    grep -qzxF "CLUSTER_INSIDE=$state" "/proc/$parent/environ" 2>/dev/null || return 1
    pgrep -P "$parent"
}

start() {
    build
    down
    mkdir -p "$state"
    certificates
    configuration
    network
    cgroups
    # shellcheck disable=SC2016
    CLUSTER_NAME=$name CLUSTER_INSIDE=$state setsid bash -c '
        echo $$ >"$CLUSTER_INSIDE/pid"
        for c in memory cpu cpuacct pids; do echo $$ >"/sys/fs/cgroup/$c/$CLUSTER_NAME/system/cgroup.procs"; done
        exec nsenter --net="/run/netns/$CLUSTER_NAME" unshare --mount --propagation slave --pid --fork --kill-child \
            --mount-proc bash "$0" __init' "$here/cluster" >"$state/log/init.log" 2>&1 </dev/null &
    until supervisor >/dev/null; do
        kill -0 $! 2>/dev/null || die "could not enter its namespaces: $(cat "$state/log/init.log")"
        sleep 0.02
    done
}

up() {
    local deadline=$((SECONDS + 120))
    supervisor >/dev/null || start
    until [[ -e $state/ready ]]; do
        if ! supervisor >/dev/null || ((SECONDS > deadline)); then
            tail -n 5 "$state"/log/*.log >&2
            die "did not start; logs are in $state/log"
        fi
        sleep 0.1
    done
}

down() {
    local init
    if init=$(supervisor); then
        kill -KILL "$init" # the first process of its PID namespace: all others, pods' too, end with it
        while [[ -e /proc/$init ]]; do sleep 0.05; done
    fi
    until no_cgroups; do sleep 0.05; done
    [[ ! -e /run/netns/$name ]] || ip netns delete "$name"
    [[ -n $(ls -A /run/netns 2>/dev/null) ]] || umount /run/netns 2>/dev/null || true # `ip netns add` had mounted it
    rm -rf "$state"
}
