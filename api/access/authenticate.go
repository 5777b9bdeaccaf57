package access

import (
	"crypto/x509"

	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/request/websocket"
	requestx509 "k8s.io/apiserver/pkg/authentication/request/x509"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/authorization/path"
	authorizerunion "k8s.io/apiserver/pkg/authorization/union"
)

// Health are the paths that everybody may ask.
var Health = []string{"/livez", "/readyz", "/healthz"}

// NewAuthenticator tells who a client is: what its certificate of the authority says, or its token. Who has neither may
// only ask for the server's health.
func NewAuthenticator(ca *x509.Certificate, tokens authenticator.Token) authenticator.Request {
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	certificates := requestx509.New(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, requestx509.CommonNameUserConversion)
	conditions := make([]apiserver.AnonymousAuthCondition, len(Health))
	for i, p := range Health {
		conditions[i] = apiserver.AnonymousAuthCondition{Path: p}
	}
	known := union.New(certificates, bearertoken.New(tokens), websocket.NewProtocolAuthenticator(tokens))
	return union.New(group.NewAuthenticatedGroupAdder(known), anonymous.NewAuthenticator(conditions))
}

// NewAuthorizer tells what a user may do: everything as one of system:masters, else what rules say.
func NewAuthorizer(rules authorizer.Authorizer) (authorizer.Authorizer, error) {
	health, err := path.NewAuthorizer(Health)
	if err != nil {
		return nil, err
	}
	return authorizerunion.New(authorizerfactory.NewPrivilegedGroups(user.SystemPrivilegedGroup), health, rules), nil
}
