package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/runtime/image"
	"writ/state"
)

func TestPullRetry(t *testing.T) {
	wrap := func(err error) error { return fmt.Errorf("pull: %w", err) }
	for _, c := range []struct {
		name     string
		err      error
		failures int
		want     time.Duration
	}{
		{"first", wrap(image.ErrUnavailable), 1, 10 * time.Second},
		{"third", wrap(image.ErrUnauthorized), 3, 40 * time.Second},
		{"at most", wrap(image.ErrNotFound), 20, 5 * time.Minute},
		{"the registry asks for more", wrap(image.Later(image.ErrUnavailable, 90*time.Second)), 1, 90 * time.Second},
		{"the registry asks for less", wrap(image.Later(image.ErrUnavailable, time.Second)), 2, 20 * time.Second},
		{"longer than any back-off", wrap(image.Later(image.ErrUnavailable, 20*time.Minute)), 9, 20 * time.Minute},
		{"never", wrap(image.ErrNeverPull), 9, 20 * time.Second},
	} {
		if got := pullRetry(c.err, c.failures); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

// about are the events that were told of images, in order.
func (g *rig) about() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []string
	for _, e := range g.told {
		if strings.Contains(strings.ToLower(e), "image") {
			out = append(out, e)
		}
	}
	return out
}

func TestWorker_EventsOfImages(t *testing.T) {
	never := func(p *corev1.Pod) { p.Spec.Containers[0].ImagePullPolicy = corev1.PullNever }
	for _, c := range []struct {
		name, image string
		change      func(*corev1.Pod)
		fail        error
		want        []string
	}{
		{"here", "img:1", nil, nil, []string{`Normal Pulled: Container image "img:1" already present on machine and can be accessed by the pod`}},
		{"not there", "img:1", nil, fmt.Errorf("x: %w", image.ErrNotFound), []string{
			`Normal Pulling: Pulling image "img:1"`,
			`Warning Failed: Failed to pull image "img:1": x: no such image`,
			`Warning Failed: Error: ErrImagePull`,
			`Normal BackOff: Back-off pulling image "img:1"`,
			`Warning Failed: Error: ImagePullBackOff`,
		}},
		{"never", "img:1", never, fmt.Errorf("x: %w", image.ErrNeverPull), []string{
			`Warning ErrImageNeverPull: Container image "img:1" is not present with pull policy of Never`,
			`Warning Failed: Error: ErrImageNeverPull`,
		}},
		{"invalid", "IMG:1", nil, image.ErrInvalidName, []string{
			`Warning InspectFailed: Failed to apply default image tag "IMG:1": read image reference "IMG:1": invalid image reference: invalid reference format: repository name (library/IMG) must be lowercase`,
			`Warning Failed: Error: InvalidImageName`,
		}},
		{"the registry has much to say", "img:1", nil, errors.New(strings.Repeat("é", 5000)), []string{
			`Normal Pulling: Pulling image "img:1"`,
			`Warning Failed: Failed to pull image "img:1": ` + strings.Repeat("é", 510) + "...",
			`Warning Failed: Error: ErrImagePull`,
			`Normal BackOff: Back-off pulling image "img:1"`,
			`Warning Failed: Error: ImagePullBackOff`,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, g *rig) {
				if c.fail != nil {
					g.images.fail[c.image] = c.fail
				}
				g.world.adopt(t, node, "c1", pod("web", c.image, c.change))
				settle()
				if got := g.about(); !slices.Equal(got, c.want) {
					t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
				}
			})
		})
	}
}

// slowImages answers when it is told to.
type slowImages struct {
	*fakeImages
	answer chan struct{}
}

func (s slowImages) Ensure(ctx context.Context, ref string, p corev1.PullPolicy, a image.Access) (image.Image, error) {
	<-s.answer
	return s.fakeImages.Ensure(ctx, ref, p, a)
}

// Why an image could not be pulled is told until the next answer, not forgotten while it is asked for again.
func TestWorker_TellsWhyWhileItPullsAgain(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		settle()
		slow := slowImages{g.images, make(chan struct{})}
		g.r.images = slow
		g.images.fail["img:1"] = image.ErrUnavailable
		g.world.adopt(t, node, "c1", pod("web", "img:1", nil))
		settle()
		shows := func(when, want string) {
			t.Helper()
			if w := g.status("web").ContainerStatuses[0].State.Waiting; w == nil || w.Reason != want {
				t.Errorf("%s: state is %v, want %s", when, g.status("web").ContainerStatuses[0].State, want)
			}
		}
		shows("while it is pulled", "ContainerCreating")
		slow.answer <- struct{}{}
		settle()
		shows("when that failed", "ErrImagePull")
		after(10 * time.Second)
		if n := g.count("Pulling"); n != 2 {
			t.Fatalf("%d pulls began, want 2", n)
		}
		shows("while it is pulled again", "ImagePullBackOff")
		g.images.mu.Lock()
		delete(g.images.fail, "img:1")
		g.images.mu.Unlock()
		slow.answer <- struct{}{}
		settle()
		if !ready(g.status("web")) {
			t.Errorf("not ready although the image was pulled: %v", g.status("web").ContainerStatuses[0].State)
		}
	})
}

func pullSecret(name string, kind corev1.SecretType, key string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Type: kind, Data: map[string][]byte{key: []byte(name)}}
}

func TestWorker_PullSecrets(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.images.fail["img:1"] = fmt.Errorf("x: %w", image.ErrUnauthorized)
		named := func(p *corev1.Pod) {
			for _, n := range []string{"new", "old", "", "opaque", "wrong-key", "missing", "lost"} {
				p.Spec.ImagePullSecrets = append(p.Spec.ImagePullSecrets, corev1.LocalObjectReference{Name: n})
			}
		}
		g.world.adopt(t, node, "c1", pod("web", "img:1", named),
			pullSecret("new", corev1.SecretTypeDockerConfigJson, corev1.DockerConfigJsonKey), pullSecret("old", corev1.SecretTypeDockercfg, corev1.DockerConfigKey),
			pullSecret("opaque", corev1.SecretTypeOpaque, corev1.DockerConfigJsonKey), pullSecret("wrong-key", corev1.SecretTypeDockercfg, corev1.DockerConfigJsonKey))
		settle()
		if len(g.images.asked) != 1 {
			t.Fatalf("asked %d times, want once", len(g.images.asked))
		}
		var got []string
		for _, s := range g.images.asked[0].Secrets {
			got = append(got, s.Name+"="+string(s.Data))
		}
		if want := []string{"new=new", "old=old"}; !slices.Equal(got, want) || g.images.asked[0].Namespace != "default" {
			t.Errorf("got %q for %s, want %q", got, g.images.asked[0].Namespace, want)
		}
		want := "Warning FailedToRetrieveImagePullSecret: Unable to retrieve some image pull secrets (missing, lost); attempting to pull the image may not succeed."
		if !slices.Contains(g.about(), want) {
			t.Errorf("events are %q, want %q among them", g.about(), want)
		}
	})
}

// What a registry refused is asked for again as soon as a pull secret changes; what it could not answer is not.
func TestWorker_PullsAgainWithOtherSecrets(t *testing.T) {
	for _, c := range []struct {
		fail  error
		pulls int
	}{{image.ErrUnauthorized, 2}, {image.ErrNotFound, 2}, {image.ErrUnavailable, 1}} {
		bubble(t, func(t *testing.T, g *rig) {
			g.images.fail["img:1"] = fmt.Errorf("x: %w", c.fail)
			g.world.adopt(t, node, "c1", pod("web", "img:1", nil))
			settle()
			g.world.decide(t, state.Batch{Commit: "c1", Adopt: &state.Adoption{Commit: "c2"}, Puts: []state.Put{
				{Ref: manifest.SecretRef("default", "s"), Origin: state.Authored, Object: pullSecret("s", corev1.SecretTypeDockerConfigJson, corev1.DockerConfigJsonKey)},
			}})
			settle()
			if g.images.pulls != c.pulls {
				t.Errorf("%v: %d pulls, want %d", c.fail, g.images.pulls, c.pulls)
			}
		})
	}
}

func TestRuntime_ImagesLoadedAreTakenAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.images.fail["img:1"] = errors.Join(errors.New("x"), image.ErrUnavailable)
		g.world.adopt(t, node, "c1", pod("web", "img:1", nil))
		settle()
		g.images.mu.Lock()
		delete(g.images.fail, "img:1")
		g.images.mu.Unlock()
		g.r.ImagesLoaded()
		settle()
		if !ready(g.status("web")) {
			t.Error("not ready although the image was loaded")
		}
	})
}
