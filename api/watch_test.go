package api

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"writ/manifest"
	"writ/state"
)

// seen is what an informer was told of each object, checked against the records that there were.
type seen struct {
	mu   sync.Mutex
	last map[string]uint64 // version of an object that was told last
	bad  []string
	told int
}

func (s *seen) note(what string, o any, gone bool) {
	if t, ok := o.(cache.DeletedFinalStateUnknown); ok {
		o = t.Obj
	}
	cm := o.(*corev1.ConfigMap)
	name := cm.Namespace + "/" + cm.Name
	version, _ := strconv.ParseUint(cm.ResourceVersion, 10, 64)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told++
	if version < s.last[name] {
		s.bad = append(s.bad, fmt.Sprintf("%s of %s at %d comes after %d", what, name, version, s.last[name]))
	}
	if s.last[name] = version; gone {
		s.last[name] = 0
	}
}

func (s *seen) handler() cache.ResourceEventHandlerFuncs {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { s.note("adding", o, false) },
		UpdateFunc: func(_, o any) { s.note("changing", o, false) },
		DeleteFunc: func(o any) { s.note("deleting", o, true) },
	}
}

// Informers of all, by label, by name and of a namespace see exactly the World, whatever happens and with watches
// that are cut off in between.
func TestInformers_SeeTheWorld(t *testing.T) {
	r := newRig(t)
	const objects, changes = 40, 1500
	random := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	for i := range objects / 2 {
		r.decide(nil, put(configMap("one", numbered(i), "even")))
	}
	want := map[string]func(*corev1.ConfigMap) bool{
		"all":       func(*corev1.ConfigMap) bool { return true },
		"even":      func(cm *corev1.ConfigMap) bool { return cm.Labels["value"] == "even" },
		"named":     func(cm *corev1.ConfigMap) bool { return cm.Name == numbered(3) },
		"namespace": func(cm *corev1.ConfigMap) bool { return cm.Namespace == "two" },
	}
	tweak := map[string]func(*metav1.ListOptions){
		"even": func(o *metav1.ListOptions) { o.LabelSelector = "value=even" },
		"named": func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector("metadata.name", numbered(3)).String()
		},
	}
	stores, told := map[string]cache.Store{}, map[string]*seen{}
	stop := make(chan struct{})
	var cables cables
	var factories []informers.SharedInformerFactory
	for name := range want {
		options := []informers.SharedInformerOption{}
		if name == "namespace" {
			options = append(options, informers.WithNamespace("two"))
		}
		if f := tweak[name]; f != nil {
			options = append(options, informers.WithTweakListOptions(f))
		}
		config := r.as("")
		config.Dial = cables.dial
		factory := informers.NewSharedInformerFactoryWithOptions(r.client(config), 0, options...)
		informer := factory.Core().V1().ConfigMaps().Informer()
		told[name] = &seen{last: map[string]uint64{}}
		if _, err := informer.AddEventHandler(told[name].handler()); err != nil {
			t.Fatal(err)
		}
		stores[name] = informer.GetStore()
		factory.Start(stop)
		factories = append(factories, factory)
	}
	for _, factory := range factories {
		factory.WaitForCacheSync(t.Context().Done())
	}
	for i := range changes {
		if i%100 == 99 {
			cables.cut()
		}
		name, namespace := numbered(random.IntN(objects)), []string{"one", "two"}[random.IntN(2)]
		ref := manifest.ConfigMapRef(namespace, name)
		if r.store.World().Get(ref) != nil && random.IntN(3) == 0 {
			r.decide([]state.Delete{{Ref: ref}})
			continue
		}
		r.decide(nil, put(configMap(namespace, name, []string{"even", "odd"}[random.IntN(2)])))
	}
	for name, wanted := range want {
		if diff := await(func() string { return differ(r.store.World(), stores[name], wanted) }); diff != "" {
			t.Errorf("the informer of %s: %s", name, diff)
		}
		told[name].mu.Lock()
		for _, bad := range told[name].bad {
			t.Errorf("the informer of %s: %s", name, bad)
		}
		t.Logf("the informer of %s was told %d times", name, told[name].told)
		told[name].mu.Unlock()
	}
	close(stop)
	for _, factory := range factories {
		factory.Shutdown()
	}
}

// cables are connections that can be cut.
type cables struct {
	mu   sync.Mutex
	open []net.Conn
}

func (l *cables) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err == nil {
		l.mu.Lock()
		l.open = append(l.open, c)
		l.mu.Unlock()
	}
	return c, err
}

func (l *cables) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.open {
		c.Close()
	}
	l.open = nil
}

// await asks until there is nothing to say, for a while.
func await(f func() string) (said string) {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if said = f(); said == "" {
			return ""
		}
	}
	return said
}

// differ compares an informer's store with the World: every object, at its version.
func differ(w *state.World, s cache.Store, wanted func(*corev1.ConfigMap) bool) string {
	there := map[string]string{}
	for rec := range w.List("", "ConfigMap", "") {
		if cm := rec.Object.(*corev1.ConfigMap); wanted(cm) {
			there[cm.Namespace+"/"+cm.Name] = rec.Revision.String()
		}
	}
	for _, key := range s.ListKeys() {
		o, _, _ := s.GetByKey(key)
		version := o.(*corev1.ConfigMap).ResourceVersion
		if there[key] != version {
			return fmt.Sprintf("%s is there at %q and not at %q", key, version, there[key])
		}
		delete(there, key)
	}
	for key := range there {
		return key + " is missing"
	}
	return ""
}

// A list by watch begins with what is there, says that this was all, and goes on.
func TestWatch_InitialEvents(t *testing.T) {
	r := newRig(t)
	for i := range 3 {
		r.decide(nil, put(configMap("default", numbered(i), "1")))
	}
	yes := true
	w := watched(t, r.admin(), metav1.ListOptions{SendInitialEvents: &yes, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan, AllowWatchBookmarks: true})
	for i := range 3 {
		if e := next(t, w); e.Type != watch.Added || e.Object.(*corev1.ConfigMap).Name != numbered(i) {
			t.Fatalf("event %d is %v", i, e)
		}
	}
	e := next(t, w)
	if cm := e.Object.(*corev1.ConfigMap); e.Type != watch.Bookmark || cm.Annotations[metav1.InitialEventsAnnotationKey] != "true" || cm.ResourceVersion != r.store.World().Revision().String() {
		t.Errorf("after what was there comes %v", e)
	}
	r.decide([]state.Delete{{Ref: manifest.ConfigMapRef("default", numbered(1))}})
	if e := next(t, w); e.Type != watch.Deleted || e.Object.(*corev1.ConfigMap).ResourceVersion != r.store.World().Revision().String() {
		t.Errorf("a deletion is told as %v", e)
	}
}

// What comes to match a selector is added, and what matches no more is deleted.
func TestWatch_Selector(t *testing.T) {
	r := newRig(t)
	r.decide(nil, put(configMap("default", "a", "odd")))
	w := watched(t, r.admin(), metav1.ListOptions{LabelSelector: "value=even", ResourceVersion: r.store.World().Revision().String()})
	r.decide(nil, put(configMap("default", "b", "odd")))
	r.decide(nil, put(configMap("default", "a", "even")))
	r.decide(nil, put(configMap("default", "a", "odd")))
	if e := next(t, w); e.Type != watch.Added || e.Object.(*corev1.ConfigMap).Name != "a" {
		t.Errorf("what comes to match is told as %v", e)
	}
	if e := next(t, w); e.Type != watch.Deleted || e.Object.(*corev1.ConfigMap).Data["value"] != "even" || e.Object.(*corev1.ConfigMap).ResourceVersion != r.store.World().Revision().String() {
		t.Errorf("what matches no more is told as %v", e)
	}
}

func watched(t *testing.T, c *kubernetes.Clientset, o metav1.ListOptions) watch.Interface {
	t.Helper()
	w, err := c.CoreV1().ConfigMaps("").Watch(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return w
}

func next(t *testing.T, w watch.Interface) watch.Event {
	t.Helper()
	select {
	case e, ok := <-w.ResultChan():
		if !ok {
			t.Fatal("the watch ended")
		}
		return e
	case <-time.After(10 * time.Second):
		t.Fatal("no event comes")
	}
	return watch.Event{}
}
