# shellcheck shell=bash disable=SC2154 # settings of `cluster`
# SPDX-License-Identifier: Apache-2.0
# The first process inside, and the programs that it starts. Sourced by `cluster`.

declare -A programs

run() { # LOGNAME PROGRAM ARGS...
    local log=$1
    shift
    "$@" >"$state/log/$log.log" 2>&1 &
    programs[$!]=$log
}

alive() {
    local pid
    for pid in "${!programs[@]}"; do
        kill -0 "$pid" 2>/dev/null || die "${programs[$pid]} ended, and so does the cluster"
    done
}

until_ok() { until "$@" >/dev/null 2>&1; do alive; sleep 0.1; done; }

# A private /run and /var, so that nothing is left on the machine; names are asked of CoreDNS only; and kubelet finds
# the kernel settings it wants without changing the machine's.
private_mounts() {
    local setting
    mount -t tmpfs tmpfs /run
    mount -t overlay overlay -o "lowerdir=/var,upperdir=$state/var,workdir=$state/work" /var
    mount --bind "$state/resolv.conf" /etc/resolv.conf
    for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
        kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
        echo "${setting#*=}" >"$state/sysctl/${setting//\//.}"
        mount --bind "$state/sysctl/${setting//\//.}" "/proc/sys/${setting%=*}"
    done
    mount --make-rshared /
}

control_plane() {
    run etcd etcd --data-dir "$state/etcd" --unsafe-no-fsync --listen-peer-urls http://127.0.0.1:2380
    run apiserver kube-apiserver --etcd-servers=http://127.0.0.1:2379 --advertise-address="$node_ip" \
        --service-cluster-ip-range="$service_net" --allow-privileged=true --authorization-mode=Node,RBAC \
        --enable-admission-plugins=NodeRestriction --client-ca-file="$pki/ca.crt" \
        --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" \
        --kubelet-certificate-authority="$pki/ca.crt" --kubelet-client-certificate="$pki/apiserver-client.crt" \
        --kubelet-client-key="$pki/apiserver-client.key" --kubelet-preferred-address-types=InternalIP \
        --service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$pki/sa.pub" \
        --service-account-signing-key-file="$pki/sa.key"
    until_ok kubectl get --raw /readyz
    run controller-manager kube-controller-manager --kubeconfig="$state/controller-manager.kubeconfig" \
        --leader-elect=false --kube-api-qps=500 --kube-api-burst=500 --use-service-account-credentials \
        --root-ca-file="$pki/ca.crt" --service-account-private-key-file="$pki/sa.key"
}

node() {
    local archive
    run scheduler kube-scheduler --kubeconfig="$state/scheduler.kubeconfig" --leader-elect=false
    run kubelet kubelet --config="$state/kubelet.yaml" --kubeconfig="$state/node.kubeconfig" \
        --root-dir="$state/kubelet" --hostname-override=node --node-ip="$node_ip"
    kubectl apply -f "$state/system.yaml"
    run coredns coredns -conf "$state/Corefile"
    run local-path local-path-provisioner start --kubeconfig "$state/admin.kubeconfig" --namespace kube-system \
        --service-account-name default --configmap-name local-path-config --helper-image localhost/busybox:1
    for archive in "$images"/*.tar; do ctr -n k8s.io images import "$archive"; done
    until_ok kubectl get node node
    run proxy kube-proxy --config="$state/proxy.yaml"
    until_ok kubectl wait --for=condition=Ready node/node --timeout=1s
}

init() {
    export KUBECONFIG=$state/admin.kubeconfig PATH=$bin:$PATH
    private_mounts
    [[ $with_node == no ]] || run containerd containerd --config "$state/containerd.toml"
    control_plane
    [[ $with_node == no ]] || node
    until_ok kubectl get serviceaccount default
    touch "$state/ready"
    while sleep 1; do alive; done
}
