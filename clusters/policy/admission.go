package policy

// Admission says what an ordinary account, that of the cast member thief, may
// submit to the platform. The zero value is nothing at all, and then nothing
// that is submitted need be looked at either.
type Admission struct {
	// Pipeline lets it make and delete pods of its own namespace, as what rolls
	// out an application can. What it makes is held to the policies of package
	// admission.
	Pipeline  bool `json:"pipeline,omitempty"`
	AuditOnly bool `json:"auditOnly,omitempty"` // what is against the policies is written down and let in
	Debug     bool `json:"debug,omitempty"`     // it may also run commands in pods of its namespace, and put containers into them
	FailOpen  bool `json:"failOpen,omitempty"`  // a pod that asks for a proxy is let in without one while the injector is away
	Injector  bool `json:"injector,omitempty"`  // it may also change webhooks, and the labels by which namespaces are chosen for them
}

// admissionMistakes are those of what a platform lets in.
func admissionMistakes() []Misconfiguration {
	admission := func(name, doc string, scope Scope, make func(*Admission)) Misconfiguration {
		return Misconfiguration{Name: name, Doc: doc, Scope: scope, Apply: func(p *Policy) { make(&p.Admission) }}
	}
	return []Misconfiguration{
		admission("admission-audit-only",
			"What is against the rules of admission is written down, and let in. "+
				"Istio, Linkerd and Consul alike: a ValidatingAdmissionPolicyBinding whose validationActions are Audit or Warn alone, as it was tried out with.",
			ScopeMesh, func(a *Admission) { a.AuditOnly = true }),
		admission("debug-for-workloads",
			"An ordinary account may run commands in the pods of its namespace, and put containers into them. "+
				"Istio, Linkerd and Consul alike: create on pods/exec, or patch on pods/ephemeralcontainers, outside of a role for emergencies; the role edit has the first.",
			ScopeRange, func(a *Admission) { a.Debug = true }),
		admission("injector-fails-open",
			"While the injector is away, pods that ask for a proxy are let in without one. "+
				"Istio and Consul: failurePolicy Ignore in the webhook's configuration; Linkerd: as it comes.",
			ScopeMesh, func(a *Admission) { a.FailOpen = true }),
		admission("injector-for-workloads",
			"An ordinary account may change the webhooks by which pods get their proxies, and the labels of namespaces. "+
				"Istio, Linkerd and Consul alike: patch on mutatingwebhookconfigurations or on namespaces, as operators and installers ask for.",
			ScopeMesh, func(a *Admission) { a.Injector = true }),
	}
}
