package sops

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/getsops/sops/v3/azkv"
	"github.com/getsops/sops/v3/gcpkms"
	"github.com/getsops/sops/v3/hcvault"
	"google.golang.org/api/option"
)

// Key services are asked at the address and with the credentials of the node's own file. What a document
// names has to be equal to what stands there, to the letter.

// answered sorts the errors of key services: one that answered was asked in vain.
func answered(err error) error {
	var network net.Error
	var address *url.Error
	if errors.As(err, &network) || errors.As(err, &address) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %s", errAway, shorten(err.Error()))
	}
	return err
}

type vaultKey struct {
	name, address, engine, key, token string
	client                            *http.Client
}

func vaultName(address, engine, key string) string {
	return strings.TrimSuffix(address, "/") + "/v1/" + engine + "/keys/" + key
}

func (e *entry) vault(folder string, from vaultEntry) error {
	token, err := either(folder, from.Token, from.TokenFile, "token")
	if err != nil {
		return err
	}
	if from.Engine == "" {
		from.Engine = "transit"
	}
	if from.Address == "" || from.Key == "" || token == "" {
		return errors.New("vault: address, key and token or tokenFile are needed")
	}
	verified := &tls.Config{MinVersion: tls.VersionTLS12}
	if from.CAFile != "" {
		pem, err := os.ReadFile(from.CAFile)
		if err != nil {
			return err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return fmt.Errorf("vault: %s holds no certificate", from.CAFile)
		}
		verified.RootCAs = pool
	}
	client := &http.Client{Timeout: timeout, Transport: &http.Transport{TLSClientConfig: verified, ForceAttemptHTTP2: true}}
	v := vaultKey{vaultName(from.Address, from.Engine, from.Key), from.Address, from.Engine, from.Key, token, client}
	e.name, e.service = "Vault key "+v.name, v
	return nil
}

func (v vaultKey) is(named string) bool { return named == v.name }

func (v vaultKey) decrypt(ctx context.Context, ciphertext []byte, _ details) ([]byte, error) {
	key := hcvault.NewMasterKey(v.address, v.engine, v.key)
	hcvault.Token(v.token).ApplyToMasterKey(key)
	hcvault.NewHTTPClient(v.client).ApplyToMasterKey(key)
	key.SetEncryptedDataKey(ciphertext)
	clear, err := key.DecryptContext(ctx)
	return clear, answered(err)
}

type awsKey struct {
	arn, role, endpoint string
	config              aws.Config
}

var arnRegion = regexp.MustCompile(`^arn:aws[\w-]*:kms:([a-z0-9-]+):[0-9]+:(?:key|alias)/.+$`)

func (e *entry) aws(folder string, from awsEntry) error {
	secret, err := either(folder, from.SecretAccessKey, from.SecretFile, "secretAccessKey")
	if err != nil {
		return err
	}
	region := arnRegion.FindStringSubmatch(from.ARN)
	if region == nil || from.AccessKeyID == "" || secret == "" {
		return errors.New("aws: arn of a KMS key, accessKeyID and secretAccessKey or secretFile are needed")
	}
	k := awsKey{arn: from.ARN, role: from.Role, endpoint: from.Endpoint, config: aws.Config{
		Region: region[1], HTTPClient: &http.Client{Timeout: timeout},
		Credentials: credentials.NewStaticCredentialsProvider(from.AccessKeyID, secret, from.SessionToken),
	}}
	if k.role != "" {
		k.config.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(k.config), k.role))
	}
	e.name, e.service = "AWS KMS key "+from.ARN, k
	return nil
}

func (k awsKey) is(named string) bool { return named == k.arn }

func (k awsKey) decrypt(ctx context.Context, ciphertext []byte, d details) ([]byte, error) {
	if d.role != "" && d.role != k.role {
		return nil, fmt.Errorf("the document asks for the role %s, which the node's keys do not list", shorten(d.role))
	}
	blob, err := base64.StdEncoding.DecodeString(string(ciphertext))
	if err != nil {
		return nil, errors.New("the encrypted data key is no base64")
	}
	client := kms.NewFromConfig(k.config, func(o *kms.Options) {
		if k.endpoint != "" {
			o.BaseEndpoint = &k.endpoint
		}
	})
	out, err := client.Decrypt(ctx, &kms.DecryptInput{KeyId: &k.arn, CiphertextBlob: blob, EncryptionContext: d.context})
	if err != nil {
		return nil, answered(err)
	}
	return out.Plaintext, nil
}

type gcpKey struct {
	resource, endpoint string
	credentials        []byte
}

func (e *entry) gcp(folder string, from gcpEntry) error {
	text, err := either(folder, from.Credentials, from.CredentialsFile, "credentials")
	if err != nil {
		return err
	}
	if from.Resource == "" || text == "" {
		return errors.New("gcp: resource and credentials or credentialsFile are needed")
	}
	e.name, e.service = "GCP KMS key "+from.Resource, gcpKey{from.Resource, from.Endpoint, []byte(text)}
	return nil
}

func (k gcpKey) is(named string) bool { return named == k.resource }

func (k gcpKey) decrypt(ctx context.Context, ciphertext []byte, _ details) ([]byte, error) {
	key := gcpkms.NewMasterKeyFromResourceID(k.resource)
	gcpkms.CredentialJSON(k.credentials).ApplyToMasterKey(key)
	gcpkms.UseRESTClient{}.ApplyToMasterKey(key)
	if k.endpoint != "" {
		gcpkms.ClientOptions{option.WithEndpoint(k.endpoint)}.ApplyToMasterKey(key)
	}
	key.SetEncryptedDataKey(ciphertext)
	clear, err := key.DecryptContext(ctx)
	return clear, answered(err)
}

type azureKey struct {
	vault, key string
	token      *azidentity.ClientSecretCredential
}

func azureName(vault, key string) string { return strings.TrimSuffix(vault, "/") + "/keys/" + key }

func (e *entry) azure(folder string, from azureEntry) error {
	secret, err := either(folder, from.Secret, from.SecretFile, "secret")
	if err != nil {
		return err
	}
	if from.Vault == "" || from.Key == "" || from.Tenant == "" || from.Client == "" || secret == "" {
		return errors.New("azure: vault, key, tenant, client and secret or secretFile are needed")
	}
	token, err := azidentity.NewClientSecretCredential(from.Tenant, from.Client, secret, nil)
	if err != nil {
		return errors.New("azure: tenant, client and secret make no credential")
	}
	e.name, e.service = "Azure key "+azureName(from.Vault, from.Key), azureKey{from.Vault, from.Key, token}
	return nil
}

func (k azureKey) is(named string) bool { return named == azureName(k.vault, k.key) }

func (k azureKey) decrypt(ctx context.Context, ciphertext []byte, d details) ([]byte, error) {
	key := azkv.NewMasterKey(k.vault, k.key, d.version)
	azkv.NewTokenCredential(k.token).ApplyToMasterKey(key)
	key.SetEncryptedDataKey(ciphertext)
	clear, err := key.DecryptContext(ctx)
	return clear, answered(err)
}
