// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"bytes"
	"os/exec"
	"slices"
	"strings"
	"testing"

	registration "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"sigs.k8s.io/yaml"
)

const placeholder = "registry.example.com/model-gate@sha256:0000000000000000000000000000000000000000000000000000000000000000"

// The oldest Kubernetes with the API, and the newest that is supported.
var versions = []string{"1.30", "1.37"}

// documents renders a kustomization and picks those of one kind.
func documents[T any](t *testing.T, folder, kind string) []T {
	t.Helper()
	rendered, err := exec.Command("kustomize", "build", "../../k8s/"+folder).Output()
	if err != nil {
		t.Fatalf("kustomize build %s: %v", folder, err)
	}
	var found []T
	for _, document := range bytes.Split(rendered, []byte("\n---\n")) {
		if !strings.Contains("\n"+string(document)+"\n", "\nkind: "+kind+"\n") {
			continue
		}
		var object T
		if err := yaml.UnmarshalStrict(document, &object); err != nil {
			t.Fatalf("%s: %v", folder, err)
		}
		found = append(found, object)
	}
	return found
}

func policyOf(t *testing.T, name string) *registration.ValidatingAdmissionPolicy {
	t.Helper()
	for _, policy := range documents[registration.ValidatingAdmissionPolicy](t, "admission", "ValidatingAdmissionPolicy") {
		if policy.Name == name {
			return &policy
		}
	}
	t.Fatalf("there is no policy %s", name)
	return nil
}

// asCreated is the pod as the API server has it when policies are asked: with its defaults.
func asCreated(template corev1.PodTemplateSpec) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: *template.Spec.DeepCopy()}
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			containers[i].TerminationMessagePath = "/dev/termination-log"
		}
	}
	return pod
}

func enforced(t *testing.T, folder string) *corev1.Pod {
	t.Helper()
	return asCreated(documents[appsv1.Deployment](t, folder, "Deployment")[0].Spec.Template)
}

func gate(pod *corev1.Pod) *corev1.Container {
	i := slices.IndexFunc(pod.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == "model-gate" })
	return &pod.Spec.InitContainers[i]
}

func watcher(pod *corev1.Pod) *corev1.Container {
	i := slices.IndexFunc(pod.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == "model-gate-watch" })
	return &pod.Spec.InitContainers[i]
}

func floorVolume(pod *corev1.Pod) *corev1.ConfigMapVolumeSource {
	i := slices.IndexFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == "model-gate-floor" })
	return pod.Spec.Volumes[i].ConfigMap
}

func mount(c *corev1.Container, volume, path string) {
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: volume, MountPath: path})
}

// server is a native sidecar that reads the volume, or none.
func server(name, volume string) corev1.Container {
	c := corev1.Container{Name: name, Image: "busybox", RestartPolicy: &always, TerminationMessagePath: "/dev/termination-log"}
	if volume != "" {
		c.VolumeMounts = []corev1.VolumeMount{{Name: volume, MountPath: "/srv", ReadOnly: true}}
	}
	return c
}

func withArgs(args ...string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { gate(pod).Args = args }
}

func addArgs(args ...string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { gate(pod).Args = append(gate(pod).Args, args...) }
}

func withEnv(name, value string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { gate(pod).Env = append(gate(pod).Env, corev1.EnvVar{Name: name, Value: value}) }
}

func mountedAt(path string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { mount(gate(pod), "model-publisher", path) }
}

func withVolume(source corev1.VolumeSource) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: "extra", VolumeSource: source})
		mount(&pod.Spec.Containers[0], "extra", "/extra")
	}
}

var (
	always    = corev1.ContainerRestartPolicyAlways
	yes       = true
	execProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"/nodejs/bin/node"}}}}
)

type change struct {
	what    string
	apply   func(*corev1.Pod)
	refusal string // part of one of the messages; empty: allowed
}

const (
	argument = "argument of the gate is not on the list"
	first    = "first argument is pull, verify"
	variable = "variable of the gate is not on the list"
	mounts   = "mounts volumes below /mnt"
	readOnly = "readOnly in all other containers"
	floor    = "every gate mounts the ConfigMap model-gate-floor"
	noGate   = "no init container with an image of the list"
	content  = "has to be mounted by the gate"
	behind   = "come behind it"
)

var changes = []change{
	{"nothing", func(*corev1.Pod) {}, ""},
	{"no watching sidecar", func(p *corev1.Pod) {
		p.Spec.InitContainers = slices.DeleteFunc(p.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == "model-gate-watch" })
	}, ""},
	{"a second gate for another model", func(p *corev1.Pod) {
		second := *gate(p).DeepCopy()
		second.Name = "model-gate-lora"
		second.Args[2] = "/mnt/models/lora"
		p.Spec.InitContainers = append(p.Spec.InitContainers, second)
	}, ""},
	{"verify in place", withArgs("verify", "/mnt/models/model"), ""},
	{"bare pairs, as KServe gives them", withArgs("oms+s3://models/demo/", "/mnt/models"), ""},
	{"a variable of EKS", withEnv("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/secrets/eks.amazonaws.com/serviceaccount/token"), ""},
	{"the token that EKS mounts", mountedAt("/var/run/secrets/eks.amazonaws.com/serviceaccount"), ""},
	{"a header of KServe", withEnv("models.example.com-headers", "{}"), ""},
	{"a scratch volume of the server", withVolume(corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}), ""},
	{"a harmless flag", addArgs("--connections=8", "--timeout", "30m"), ""},
	{"a pod of gates only", func(p *corev1.Pod) { p.Spec.Containers = []corev1.Container{*gate(p)}; p.Spec.InitContainers = nil }, ""},

	{"no gate", func(p *corev1.Pod) { p.Spec.InitContainers = nil }, noGate},
	{"the gate's name on another image", func(p *corev1.Pod) { gate(p).Image = "docker.io/library/busybox:1" }, noGate},
	{"an image by tag", func(p *corev1.Pod) { gate(p).Image = "registry.example.com/model-gate:1.2.3" }, noGate},
	{"an image whose name goes on", func(p *corev1.Pod) { gate(p).Image = strings.Replace(placeholder, "@", "-evil@", 1) }, noGate},
	{"another digest of the same image", func(p *corev1.Pod) { gate(p).Image = strings.Replace(placeholder, "0000", "1111", 1) }, noGate},
	{"an image below the name", func(p *corev1.Pod) { gate(p).Image = strings.Replace(placeholder, "@", "/x@", 1) }, noGate},
	{"the gate beside the server only", func(p *corev1.Pod) {
		p.Spec.Containers = append(p.Spec.Containers, *gate(p))
		p.Spec.InitContainers = nil
	}, noGate},
	{"a gate that nobody waits for", func(p *corev1.Pod) { gate(p).RestartPolicy = &always }, noGate},
	{"only the sidecar", func(p *corev1.Pod) { p.Spec.InitContainers = []corev1.Container{*watcher(p)} }, noGate},
	{"a gate of another name", func(p *corev1.Pod) { gate(p).Name = "download" }, "are called model-gate"},
	{"another program under the gate's name", func(p *corev1.Pod) {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "model-gate-2", Image: "busybox"})
	}, "are for the gate's image"},
	{"a command", func(p *corev1.Pod) { gate(p).Command = []string{"/nodejs/bin/node", "--eval", "0"} }, "command cannot be replaced"},
	{"an empty first word", withArgs(), first},
	{"the version instead of a check", withArgs("--version"), first},
	{"help instead of a check", withArgs("pull", "--help"), argument},
	{"help in short", withArgs("pull", "s3://a/b", "/mnt/models", "-h"), argument},
	{"a command that checks nothing", withArgs("digest", "/mnt/models/model"), first},
	{"watching without a sidecar", withArgs("watch", "/mnt/models/model"), first},
	{"a sidecar that pulls", func(p *corev1.Pod) { watcher(p).Args = []string{"pull", "s3://a/b", "/mnt/models"} }, first},
	{"a dry run", addArgs("--dry-run"), argument},
	{"a relaxing flag", addArgs("--ignore-unsigned-files"), argument},
	{"a relaxing flag with underscores", addArgs("--ignore_unsigned_files"), argument},
	{"a relaxing flag with its value", addArgs("--allow-symlinks=true"), argument},
	{"a relaxing flag and its value", addArgs("--ignore-paths", "pickle"), argument},
	{"flags behind two dashes", addArgs("--", "--dry-run"), argument},
	{"a negated flag", addArgs("--no-ignore-git-paths"), argument},
	{"a configuration file", addArgs("--config=/mnt/models/config.yaml"), argument},
	{"a report over the model", addArgs("--report=/mnt/models/model/config.json"), argument},
	{"only some files", addArgs("--include=config.json"), argument},
	{"an argument out of a variable", addArgs("$(AWS_REGION)"), argument},
	{"a flag's name out of a variable", addArgs("--$(AWS_REGION)"), argument},
	{"a relaxing variable", withEnv("MODEL_GATE_IGNORE_UNSIGNED_FILES", "true"), variable},
	{"a dry run by variable", withEnv("MODEL_GATE_DRY_RUN", "true"), variable},
	{"a configuration file by variable", withEnv("MODEL_GATE_CONFIG", "/mnt/models/x"), variable},
	{"NODE_OPTIONS", withEnv("NODE_OPTIONS", "--import=data:text/javascript,process.exit(0)"), variable},
	{"LD_PRELOAD", withEnv("LD_PRELOAD", "/mnt/models/x.so"), variable},
	{"OPENSSL_CONF", withEnv("OPENSSL_CONF", "/mnt/models/x.cnf"), variable},
	{"SSL_CERT_FILE", withEnv("SSL_CERT_FILE", "/mnt/models/x.pem"), variable},
	{"a program behind AWS_CONFIG_FILE", withEnv("AWS_CONFIG_FILE", "/mnt/models/config"), variable},
	{"another home", withEnv("HOME", "/mnt/models"), variable},
	{"unchecked TLS by KServe's variable", withEnv("S3_VERIFY_SSL", "0"), variable},
	{"a relaxing variable of the sidecar", func(p *corev1.Pod) { watcher(p).Env = append(watcher(p).Env, corev1.EnvVar{Name: "NODE_OPTIONS"}) }, variable},
	{"envFrom", func(p *corev1.Pod) {
		gate(p).EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "any"}}}}
	}, "envFrom could set any"},
	{"a mount over the program", mountedAt("/app/dist"), mounts},
	{"a mount over Node", mountedAt("/nodejs/bin"), mounts},
	{"a mount over the commands", mountedAt("/usr/local/bin"), mounts},
	{"a mount over libraries", mountedAt("/lib"), mounts},
	{"a mount over the CA certificates", mountedAt("/etc/ssl"), mounts},
	{"a mount beside the floor", mountedAt("/etc/model-gate/policy.yaml"), mounts},
	{"a home with an AWS configuration", mountedAt("/home/nonroot/.aws"), mounts},
	{"a mount at the root", mountedAt("/"), mounts},
	{"a mount that climbs", mountedAt("/mnt/../app/dist"), mounts},
	{"a mount that only begins well", mountedAt("/mntx"), mounts},
	{"a termination message over the program", func(p *corev1.Pod) { gate(p).TerminationMessagePath = "/app/dist/main.js" }, "terminationMessagePath stays"},
	{"a device over the program", func(p *corev1.Pod) {
		gate(p).VolumeDevices = []corev1.VolumeDevice{{Name: "models", DevicePath: "/app/dist/main.js"}}
	}, "no volumeDevices"},
	{"a program run as a probe", func(p *corev1.Pod) { watcher(p).LivenessProbe = execProbe }, "no exec probes"},
	{"a program run by a hook", func(p *corev1.Pod) {
		watcher(p).Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Exec: execProbe.Exec}}
	}, "no lifecycle hooks"},
	{"no floor", func(p *corev1.Pod) {
		gate(p).VolumeMounts = slices.DeleteFunc(gate(p).VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == "model-gate-floor" })
	}, floor},
	{"another ConfigMap as the floor", func(p *corev1.Pod) { floorVolume(p).Name = "mine" }, floor},
	{"a floor that may be missing", func(p *corev1.Pod) { floorVolume(p).Optional = &yes }, floor},
	{"another key as the floor", func(p *corev1.Pod) { floorVolume(p).Items = []corev1.KeyToPath{{Key: "other", Path: "policy.yaml"}} }, floor},
	{"an emptyDir as the floor", func(p *corev1.Pod) {
		i := slices.IndexFunc(p.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == "model-gate-floor" })
		p.Spec.Volumes[i].VolumeSource = corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}
	}, floor},
	{"a part of the floor", func(p *corev1.Pod) {
		for i := range gate(p).VolumeMounts {
			if gate(p).VolumeMounts[i].Name == "model-gate-floor" {
				gate(p).VolumeMounts[i].SubPath = "..data"
			}
		}
	}, floor},
	{"the policy's text in place of the floor", func(p *corev1.Pod) {
		gate(p).VolumeMounts = slices.DeleteFunc(gate(p).VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == "model-gate-floor" })
		withEnv("MODEL_GATE_POLICY", "apiVersion: model-gate/policy/v1")(p)
	}, floor},
	{"the server writes to the model", func(p *corev1.Pod) { p.Spec.Containers[0].VolumeMounts[0].ReadOnly = false }, readOnly},
	{"the server writes by a second mount", func(p *corev1.Pod) { mount(&p.Spec.Containers[0], "models", "/again") }, readOnly},
	{"the server writes to a part of the volume", func(p *corev1.Pod) {
		p.Spec.Containers[0].VolumeMounts = append(p.Spec.Containers[0].VolumeMounts, corev1.VolumeMount{Name: "models", MountPath: "/part", SubPath: "model"})
	}, readOnly},
	{"an init container behind the gate writes", func(p *corev1.Pod) {
		last := corev1.Container{Name: "patch", Image: "busybox", TerminationMessagePath: "/dev/termination-log"}
		mount(&last, "models", "/mnt/models")
		p.Spec.InitContainers = append(p.Spec.InitContainers, last)
	}, readOnly},
	{"a sidecar before the gate writes", func(p *corev1.Pod) {
		early := corev1.Container{Name: "early", Image: "busybox", RestartPolicy: &always}
		mount(&early, "models", "/mnt/models")
		p.Spec.InitContainers = append([]corev1.Container{early}, p.Spec.InitContainers...)
	}, readOnly},
	{"a server before the gate", func(p *corev1.Pod) {
		p.Spec.InitContainers = append([]corev1.Container{server("early", "models")}, p.Spec.InitContainers...)
	}, behind},
	{"a server between two gates", func(p *corev1.Pod) {
		second := *gate(p).DeepCopy()
		second.Name = "model-gate-lora"
		p.Spec.InitContainers = append(p.Spec.InitContainers, server("between", "models"), second)
	}, behind},
	{"a server that is a sidecar behind the gate", func(p *corev1.Pod) {
		p.Spec.InitContainers = append(p.Spec.InitContainers, server("late", "models"))
	}, ""},
	{"a proxy before the gate, without the model", func(p *corev1.Pod) {
		p.Spec.InitContainers = append([]corev1.Container{server("proxy", "")}, p.Spec.InitContainers...)
	}, ""},
	{"the watching sidecar can write", func(p *corev1.Pod) {
		for i := range watcher(p).VolumeMounts {
			watcher(p).VolumeMounts[i].ReadOnly = false
		}
	}, "sidecar that watches mounts everything readOnly"},
	{"a claim the gate does not mount", withVolume(corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "evil"}}), content},
	{"an image volume", withVolume(corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: "evil"}}), content},
	{"a CSI volume", withVolume(corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "s3.csi.example.com"}}), content},
	{"a volume of the host", withVolume(corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/var/lib/kubelet"}}), content},
	{"a cloned volume", withVolume(corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}), content},
	{"a server that does not see the model", func(p *corev1.Pod) { p.Spec.Containers[0].VolumeMounts = nil }, "is not what was verified"},
	{"a shared process namespace", func(p *corev1.Pod) { p.Spec.ShareProcessNamespace = &yes }, "no shared process namespace"},
	{"the host's processes", func(p *corev1.Pod) { p.Spec.HostPID = true }, "no shared process namespace"},
	{"an ephemeral container beside the gate", func(p *corev1.Pod) {
		p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{TargetContainerName: "model-gate"}}
	}, "ephemeral container"},
	{"an ephemeral container that writes", func(p *corev1.Pod) {
		p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{VolumeMounts: []corev1.VolumeMount{{Name: "models", MountPath: "/m"}}}}}
	}, "ephemeral container"},
}

func parameters(t *testing.T) *corev1.ConfigMap {
	t.Helper()
	return &documents[corev1.ConfigMap](t, "admission", "ConfigMap")[0]
}

func decide(t *testing.T, policy *registration.ValidatingAdmissionPolicy, request Request, refusal string) {
	t.Helper()
	for _, request.KubernetesAt = range versions {
		verdict, err := Evaluate(policy, request)
		if err != nil {
			t.Fatalf("Kubernetes %s: %v", request.KubernetesAt, err)
		}
		if verdict.Cost > 0.1 {
			t.Errorf("takes %.0f %% of the budget", verdict.Cost*100)
		}
		if refusal == "" && len(verdict.Denied) > 0 {
			t.Errorf("denied: %s", strings.Join(verdict.Denied, "; "))
		}
		if refusal != "" && !slices.ContainsFunc(verdict.Denied, func(message string) bool { return strings.Contains(message, refusal) }) {
			t.Errorf("Kubernetes %s: not denied with %q but with %q", request.KubernetesAt, refusal, verdict.Denied)
		}
	}
}

func TestPods(t *testing.T) {
	policy, params, base := policyOf(t, "model-gate"), parameters(t), enforced(t, "../test/admission/watched")
	for _, change := range changes {
		t.Run(change.what, func(t *testing.T) {
			pod := base.DeepCopy()
			change.apply(pod)
			decide(t, policy, Request{Operation: admission.Create, Resource: "pods", Kind: "Pod", Object: pod, Params: params}, change.refusal)
		})
	}
}

// What is shipped as it stands: the overlays made for it pass, an image by its tag does not.
func TestShipped(t *testing.T) {
	policy, params := policyOf(t, "model-gate"), parameters(t)
	for folder, refusal := range map[string]string{
		"overlays/enforced": "", "admission/namespace": "",
		"overlays/s3": noGate, "overlays/watch": noGate, "overlays/node-cache": noGate, "vllm": noGate,
	} {
		t.Run(folder, func(t *testing.T) {
			decide(t, policy, Request{Operation: admission.Create, Resource: "pods", Kind: "Pod", Object: enforced(t, folder), Params: params}, refusal)
		})
	}
}

func TestEachValidationHasACase(t *testing.T) {
	for _, validation := range policyOf(t, "model-gate").Spec.Validations {
		message := validation.Message + validation.MessageExpression
		if strings.Contains(message, "the parameters are wrong") || strings.Contains(message, "floor policy at /etc/model-gate") {
			continue // TestParameters; the part of the message that differs from the floor's
		}
		if !slices.ContainsFunc(changes, func(c change) bool {
			return c.refusal != "" && strings.Contains(message, strings.Replace(c.refusal, "ConfigMap model-gate-floor", "ConfigMap ", 1))
		}) {
			t.Errorf("nothing is denied with %q", message)
		}
	}
}

// As KServe's webhook makes it: bare pairs, credentials by name, the policy as text, since it cannot mount the floor.
func TestKServe(t *testing.T) {
	policy, params := policyOf(t, "model-gate"), parameters(t)
	pod := func() *corev1.Pod {
		text := &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "model-gate-floor"}, Key: "policy.yaml"}}
		initializer := corev1.Container{Name: "storage-initializer", Image: placeholder, Args: []string{"oms+s3://models/iris/v3", "/mnt/models"}, Env: []corev1.EnvVar{
			{Name: "MODEL_GATE_POLICY", ValueFrom: text}, {Name: "STORAGE_CONFIG", Value: "{}"}, {Name: "STORAGE_OVERRIDE_CONFIG", Value: "{}"},
			{Name: "HF_HUB_ENABLE_HF_TRANSFER", Value: "1"}, {Name: "HF_XET_HIGH_PERFORMANCE", Value: "1"}, {Name: "HF_XET_NUM_CONCURRENT_RANGE_GETS", Value: "8"},
			{Name: "S3_USE_HTTPS", Value: "1"}, {Name: "AWS_DEFAULT_REGION", Value: "us-east-1"}, {Name: "AWS_ENDPOINT_URL", Value: "https://minio.storage:9000"},
		}}
		mount(&initializer, "kserve-provision-location", "/mnt/models")
		server := corev1.Container{Name: "kserve-container", Image: "kserve/sklearnserver:v0.20.0", VolumeMounts: []corev1.VolumeMount{
			{Name: "kserve-provision-location", MountPath: "/mnt/models", ReadOnly: true},
		}}
		volume := corev1.Volume{Name: "kserve-provision-location", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}
		return &corev1.Pod{Spec: corev1.PodSpec{InitContainers: []corev1.Container{initializer}, Containers: []corev1.Container{server}, Volumes: []corev1.Volume{volume}}}
	}
	for _, change := range []change{
		{"as it comes", func(*corev1.Pod) {}, ""},
		{"the policy as plain text", func(p *corev1.Pod) {
			p.Spec.InitContainers[0].Env[0] = corev1.EnvVar{Name: "MODEL_GATE_POLICY", Value: "x"}
		}, floor},
		{"a policy that may be missing", func(p *corev1.Pod) { p.Spec.InitContainers[0].Env[0].ValueFrom.ConfigMapKeyRef.Optional = &yes }, floor},
		{"a policy of one's own", func(p *corev1.Pod) { p.Spec.InitContainers[0].Env[0].ValueFrom.ConfigMapKeyRef.Name = "mine" }, floor},
		{"another key", func(p *corev1.Pod) { p.Spec.InitContainers[0].Env[0].ValueFrom.ConfigMapKeyRef.Key = "mine" }, floor},
		{"the policy said twice", func(p *corev1.Pod) {
			p.Spec.InitContainers[0].Env = append(p.Spec.InitContainers[0].Env, corev1.EnvVar{Name: "MODEL_GATE_POLICY", Value: "x"})
		}, floor},
		{"the policy said again as an argument", func(p *corev1.Pod) {
			p.Spec.InitContainers[0].Args = append(p.Spec.InitContainers[0].Args, "--policy=/mnt/models/mine.yaml")
		}, floor},
		{"KServe's own initializer", func(p *corev1.Pod) { p.Spec.InitContainers[0].Image = "kserve/storage-initializer:v0.20.0" }, noGate},
		{"the annotation that makes the model writable", func(p *corev1.Pod) { p.Spec.Containers[0].VolumeMounts[0].ReadOnly = false }, readOnly},
	} {
		t.Run(change.what, func(t *testing.T) {
			changed := pod()
			change.apply(changed)
			decide(t, policy, Request{Operation: admission.Create, Resource: "pods", Kind: "Pod", Object: changed, Params: params}, change.refusal)
		})
	}
}

func TestParameters(t *testing.T) {
	policy, base := policyOf(t, "model-gate"), enforced(t, "../test/admission/watched")
	for _, images := range []string{"", "registry.example.com/model-gate:1", "registry.example.com/model-gate@sha256:00", "*"} {
		params := parameters(t)
		params.Data["images"] = images
		decide(t, policy, Request{Operation: admission.Create, Resource: "pods", Kind: "Pod", Object: base, Params: params}, "the parameters are wrong")
	}
}

func TestUpdates(t *testing.T) {
	policy, params := policyOf(t, "model-gate"), parameters(t)
	old := enforced(t, "../test/admission/watched")
	old.Spec.InitContainers = nil // from before the policy
	labelled := old.DeepCopy()
	labelled.Labels["new"] = "label"
	changed := old.DeepCopy()
	changed.Spec.Containers[0].Image = "docker.io/library/evil:1"
	decide(t, policy, Request{Operation: admission.Update, Resource: "pods", Kind: "Pod", Object: labelled, Old: old, Params: params}, "")
	decide(t, policy, Request{Operation: admission.Update, Resource: "pods", Kind: "Pod", Object: changed, Old: old, Params: params}, noGate)
}

func TestFloor(t *testing.T) {
	policy, params := policyOf(t, "model-gate-floor"), parameters(t)
	named := func(name string) *corev1.ConfigMap {
		object := &corev1.ConfigMap{}
		object.Name = name
		return object
	}
	const refusal = "needs the verb manage"
	for _, c := range []struct {
		operation admission.Operation
		name      string
		may       bool
		refusal   string
	}{
		{admission.Create, "anything", false, ""},
		{admission.Create, "model-gate-floor", false, refusal},
		{admission.Update, "model-gate-floor", false, refusal},
		{admission.Delete, "model-gate-floor", false, refusal},
		{admission.Delete, "anything", false, ""},
		{admission.Create, "model-gate-floor", true, ""},
		{admission.Delete, "model-gate-floor", true, ""},
	} {
		request := Request{Operation: c.operation, Resource: "configmaps", Kind: "ConfigMap", Params: params, MayManage: c.may}
		if c.operation == admission.Delete {
			request.Old = named(c.name)
		} else {
			request.Object = named(c.name)
		}
		decide(t, policy, request, c.refusal)
	}
}

func TestExec(t *testing.T) {
	policy := policyOf(t, "model-gate-exec")
	for container, refusal := range map[string]string{"server": "", "": "", "model-gate": "nothing is run", "model-gate-lora": "nothing is run", "storage-initializer": "nothing is run"} {
		for kind, object := range map[string]runtime.Object{"PodExecOptions": &corev1.PodExecOptions{Container: container}, "PodAttachOptions": &corev1.PodAttachOptions{Container: container}} {
			decide(t, policy, Request{Operation: admission.Connect, Resource: "pods", Subresource: "exec", Kind: kind, Object: object}, refusal)
		}
	}
}
