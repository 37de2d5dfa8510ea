# Runs inside `docker build` of the node image: links, units and containerd's settings.
chmod 755 /usr/local/bin/* /kind /kind/bin /kind/bin/*.sh
for name in kubelet kubectl; do ln -sf kube /usr/bin/$name; done
ln -sf /usr/bin/kube /usr/local/bin/kube-proxy
ln -sf /usr/bin/containerd /usr/local/bin/containerd
ln -sf /lib/systemd/systemd /sbin/init

# Only what a node needs is started by systemd.
rm -f /lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service \
  /lib/systemd/system/multi-user.target.wants/* /etc/systemd/system/*.wants/* \
  /lib/systemd/system/local-fs.target.wants/* \
  /lib/systemd/system/sockets.target.wants/*udev* /lib/systemd/system/sockets.target.wants/*initctl*
echo ReadKMsg=no >> /etc/systemd/journald.conf
systemctl enable kubelet.service containerd.service undo-mount-hacks.service
systemctl mask systemd-binfmt.service

mkdir -p /etc/kubernetes/manifests /opt/cni/bin /etc/cni/net.d /kind/manifests
cp /usr/lib/cni/* /opt/cni/bin/
: > /kind/manifests/default-cni.yaml # the pod network is laid by `make cluster`

# cgroupfs works on cgroup v1 and v2; the other two lines are for hosts without CAP_SYS_RESOURCE and without AppArmor.
sed -i '/base_runtime_spec/d
  s/SystemdCgroup = true/SystemdCgroup = false/
  s/restrict_oom_score_adj = false/restrict_oom_score_adj = true\n  disable_apparmor = true/' /etc/containerd/config.toml
