# Runs on a node of the built image: network.sh OWN_POD_CIDR POD_SUBNET SERVICE_SUBNET [OTHER_POD_CIDR,OTHER_NODE_ADDRESS ...]. Repeatable.
own=$1 subnet=$2 services=$3
shift 3

rule() { # rule TABLE CHAIN SPECIFICATION...: append a rule that is not there yet
  table=$1 chain=$2
  shift 2
  iptables -t "$table" -C "$chain" "$@" 2> /dev/null || iptables -t "$table" -A "$chain" "$@"
}

# kube-proxy rewrites a service address before these rules see it. One that it does not know yet must fail here and not
# leave the node: whatever answers out there would be taken for the service, and the connection kept for long.
for chain in OUTPUT FORWARD; do
  rule filter "$chain" -d "$services" -o eth0 -j REJECT
done
for other in "$@"; do
  ip route replace "${other%,*}" via "${other#*,}"
done
rule nat POSTROUTING -s "$own" ! -d "$subnet" -j MASQUERADE

# Last: with this file the node becomes ready and starts pods.
cat > /etc/cni/net.d/10-bridge.conflist.new <<CONFIG
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$own"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
CONFIG
# The container runtime watches this folder: rename, so that it never reads half a file.
mv /etc/cni/net.d/10-bridge.conflist.new /etc/cni/net.d/10-bridge.conflist
