package worldstore

import (
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"
)

// Options are those of a resource's registry whose storage is made by a function of the prefix of its keys and of what makes an
// empty object.
func Options(resource schema.GroupResource, prefix string, codec runtime.Codec, make func(prefix string, newItem func() runtime.Object) storage.Interface) generic.RESTOptions {
	config := &storagebackend.Config{Codec: codec}
	return generic.RESTOptions{
		StorageConfig: config.ForResource(resource), ResourcePrefix: prefix,
		Decorator: func(_ *storagebackend.ConfigForResource, prefix string, _ func(runtime.Object) (string, error), newItem, _ func() runtime.Object,
			_ storage.AttrFunc, _ storage.IndexerFuncs, _ *cache.Indexers) (storage.Interface, factory.DestroyFunc, error) {
			return make(prefix, newItem), func() {}, nil
		},
	}
}

// ReadOnly is what storages have in common that nothing is written to.
type ReadOnly struct{}

// errReadOnly is what is left of a write that nobody before has refused in better words.
var errReadOnly = errors.New("this cluster is run from a repository: nothing is written through its API")

// Versioner is storage.Interface's, as is what follows.
func (ReadOnly) Versioner() storage.Versioner { return storage.APIObjectVersioner{} }

func (ReadOnly) Create(context.Context, string, runtime.Object, runtime.Object, uint64) error {
	return errReadOnly
}

func (ReadOnly) Delete(context.Context, string, runtime.Object, *storage.Preconditions, storage.ValidateObjectFunc, runtime.Object, storage.DeleteOptions) error {
	return errReadOnly
}

func (ReadOnly) GuaranteedUpdate(context.Context, string, runtime.Object, bool, *storage.Preconditions, storage.UpdateFunc, runtime.Object) error {
	return errReadOnly
}

func (ReadOnly) ReadinessCheck() error { return nil }

func (ReadOnly) EnableResourceSizeEstimation(storage.KeysFunc) error { return nil }

func (ReadOnly) CompactRevision() int64 { return 0 }
