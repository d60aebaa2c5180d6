# shellcheck shell=bash disable=SC2154 # settings of `cluster`
# SPDX-License-Identifier: Apache-2.0
# Certificates and configuration of one cluster. Sourced by `cluster`.

openssl_req() { openssl req -config <(printf '[req]\ndistinguished_name=dn\n[dn]\n') -x509 -newkey ec \
    -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 "$@" 2>/dev/null; }

# certificate NAME SUBJECT [SAN], and a kubeconfig that uses it
certificate() {
    openssl_req -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -subj "$2" -addext basicConstraints=critical,CA:FALSE \
        ${3:+-addext "subjectAltName=$3"} -keyout "$pki/$1.key" -out "$pki/$1.crt"
    fill kubeconfig
    sed "s|@USER@|$1|g" "$state/kubeconfig" >"$state/$1.kubeconfig"
}

certificates() {
    mkdir -p "$pki"
    openssl_req -subj "/CN=$name-ca" -addext basicConstraints=critical,CA:TRUE -addext keyUsage=keyCertSign,digitalSignature \
        -keyout "$pki/ca.key" -out "$pki/ca.crt"
    certificate admin /O=system:masters/CN=admin
    certificate apiserver /CN=kube-apiserver \
        "IP:$node_ip,IP:127.0.0.1,IP:${service_net%.*}.1,DNS:kubernetes.default.svc,DNS:kubernetes.default,DNS:kubernetes,DNS:localhost"
    certificate apiserver-client /O=system:masters/CN=kube-apiserver-kubelet-client
    certificate controller-manager /CN=system:kube-controller-manager
    certificate scheduler /CN=system:kube-scheduler
    certificate proxy /CN=system:kube-proxy
    certificate node /O=system:nodes/CN=system:node:node "IP:$node_ip,DNS:node"
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$pki/sa.key" 2>/dev/null
    openssl pkey -in "$pki/sa.key" -pubout -out "$pki/sa.pub"
}

# fill FILE... [FOLDER/]: the templates of config/ with this cluster's names and addresses, into the state folder
fill() {
    local file into=$state
    [[ ${*: -1} != */ ]] || { into=$state/${*: -1}; set -- "${@:1:$#-1}"; }
    for file; do
        sed "s|@STATE@|$state|g; s|@NAME@|$name|g; s|@NODE_IP@|$node_ip|g; s|@POD_NET@|$pod_net|g" \
            "$here/config/$file" >"$into/$file"
    done
}

configuration() {
    mkdir -p "$state"/{cni,etcd,containerd,kubelet,volumes,log,sysctl,var,work}
    : >"$state/no-resolv.conf"
    echo "nameserver $node_ip" >"$state/resolv.conf"
    fill containerd.toml kubelet.yaml proxy.yaml Corefile system.yaml
    fill pods.conflist cni/
}
