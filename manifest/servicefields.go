package manifest

import (
	"reflect"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

func serviceTables() map[reflect.Type]fields {
	const informs = "tells people and tools, not the network"
	sctp := works.but("SCTP is", string(corev1.ProtocolSCTP))
	return join(
		rows[corev1.Service](fields{"metadata": works, "spec": works, "status": noEffect(clusterSets)}),
		rows[corev1.ServiceSpec](fields{
			"allocateLoadBalancerNodePorts": works,
			"clusterIP":                     works,
			"clusterIPs":                    works,
			"externalIPs":                   notYet("external addresses are"),
			"externalName":                  works,
			"externalTrafficPolicy":         works,
			"healthCheckNodePort":           notYet("a health check for load balancers is"),
			"internalTrafficPolicy":         works,
			"ipFamilies":                    worksOnly("IPv6 is", string(corev1.IPv4Protocol)),
			"ipFamilyPolicy":                works.but("dual-stack is", string(corev1.IPFamilyPolicyRequireDualStack)),
			"loadBalancerClass":             notYet("a class of load balancers is"),
			"loadBalancerIP":                notYet("an address of the load balancer is"),
			"loadBalancerSourceRanges":      notYet("limiting a load balancer's sources is"),
			"ports":                         works,
			"publishNotReadyAddresses":      works,
			"selector":                      works,
			"sessionAffinity":               works,
			"sessionAffinityConfig":         works,
			"trafficDistribution":           noEffect("with one node every endpoint is close"),
			"type":                          works,
		}),
		rows[corev1.ServicePort](fields{
			"appProtocol": noEffect(informs),
			"name":        works,
			"nodePort":    works,
			"port":        works,
			"protocol":    sctp,
			"targetPort":  works,
		}),
		rows[corev1.SessionAffinityConfig](fields{"clientIP": works}),
		rows[corev1.ClientIPConfig](fields{"timeoutSeconds": works}),
		rows[corev1.Endpoints](fields{"metadata": works, "subsets": works}),
		rows[corev1.EndpointSubset](fields{"addresses": works, "notReadyAddresses": works, "ports": works}),
		rows[corev1.EndpointAddress](fields{"hostname": works, "ip": works, "nodeName": noEffect(informs), "targetRef": noEffect(informs)}),
		rows[corev1.EndpointPort](fields{"appProtocol": noEffect(informs), "name": works, "port": works, "protocol": sctp}),
		rows[discoveryv1.EndpointSlice](fields{
			"addressType": worksOnly("an address type other than IPv4 is", string(discoveryv1.AddressTypeIPv4)),
			"endpoints":   works,
			"metadata":    works,
			"ports":       works,
		}),
		rows[discoveryv1.Endpoint](fields{
			"addresses":          works,
			"conditions":         works,
			"deprecatedTopology": noEffect("cannot be written in this version"),
			"hints":              noEffect("with one node every endpoint is close"),
			"hostname":           works,
			"nodeName":           noEffect(informs),
			"targetRef":          noEffect(informs),
			"zone":               noEffect(informs),
		}),
		rows[discoveryv1.EndpointConditions](fields{"ready": works, "serving": works, "terminating": works}),
		rows[discoveryv1.EndpointPort](fields{"appProtocol": noEffect(informs), "name": works, "port": works, "protocol": sctp}),
	)
}
