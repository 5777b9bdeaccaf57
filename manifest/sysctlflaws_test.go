package manifest

import (
	"strings"
	"testing"

	"k8s.io/kubernetes/pkg/util/kernel"
)

func TestCheck_Isolation(t *testing.T) {
	const head = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n"
	for _, test := range []struct{ name, spec, want string }{
		{"safe", "  securityContext: {sysctls: [{name: net/ipv4/tcp_rmem, value: a}]}\n", ""},
		{"unsafe", "  securityContext:\n    sysctls:\n      - {name: net.ipv4.tcp_rmem, value: a}\n      - {name: kernel.msgmax, value: a}\n",
			"a.yaml:8: Pod/default/p: spec.securityContext.sysctls[1].name: kernel.msgmax is not a safe sysctl"},
		{"of the whole node", "  securityContext: {sysctls: [{name: vm.swappiness, value: a}]}\n", "vm.swappiness belongs to no namespace of a pod"},
		{"a full name", "  subdomain: sub\n  setHostnameAsFQDN: true\n", ""},
		{"too long a name", "  hostname: " + strings.Repeat("h", 40) + "\n  subdomain: sub\n  setHostnameAsFQDN: true\n",
			"a.yaml:7: Pod/default/p: spec.setHostnameAsFQDN: the full name " + strings.Repeat("h", 40) + ".sub.default.svc.cluster.local has 70 characters"},
	} {
		set := mustLoad(t, tree(t, "-- a.yaml --\n"+head+test.spec+"  containers: [{name: c, image: i}]\n"), nil)
		if got := set.Warnings().Error(); !strings.Contains(got, test.want) || test.want == "" && (strings.Contains(got, "sysctl") || strings.Contains(got, "FQDN")) {
			t.Errorf("%s: warned %q, want %q", test.name, got, test.want)
		}
	}
}

// TestSafeSysctls: the versions are upstream's.
func TestSafeSysctls(t *testing.T) {
	want := map[string]string{
		"net.ipv4.ip_local_reserved_ports": kernel.IPLocalReservedPortsNamespacedKernelVersion, "net.ipv4.tcp_keepalive_time": kernel.TCPKeepAliveTimeNamespacedKernelVersion,
		"net.ipv4.tcp_fin_timeout": kernel.TCPFinTimeoutNamespacedKernelVersion, "net.ipv4.tcp_keepalive_intvl": kernel.TCPKeepAliveIntervalNamespacedKernelVersion,
		"net.ipv4.tcp_keepalive_probes": kernel.TCPKeepAliveProbesNamespacedKernelVersion, "net.ipv4.tcp_rmem": kernel.TCPReceiveMemoryNamespacedKernelVersion,
		"net.ipv4.tcp_wmem": kernel.TCPTransmitMemoryNamespacedKernelVersion,
	}
	for _, s := range SafeSysctls() {
		if s.Since != want[s.Name] {
			t.Errorf("%s since %q, upstream has %q", s.Name, s.Since, want[s.Name])
		}
	}
}
