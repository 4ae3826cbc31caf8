package policy

// Admission says what an ordinary account, thief's, may submit to the platform. The
// zero value allows nothing, so that no admission policy is needed either.
type Admission struct {
	// Pipeline lets it create and delete pods in its own namespace, as a deployment
	// pipeline can. The policies of package admission apply to these pods.
	Pipeline  bool `json:"pipeline,omitempty"`
	AuditOnly bool `json:"auditOnly,omitempty"` // violations of the policies are logged and accepted
	Debug     bool `json:"debug,omitempty"`     // it may also run commands in pods of its namespace and add containers to them
	FailOpen  bool `json:"failOpen,omitempty"`  // while the injector is down, a pod that asks for a proxy is created without one
	Injector  bool `json:"injector,omitempty"`  // it may also change webhooks, and the namespace labels that select for them
}

// admissionMistakes are the misconfigurations of Admission.
func admissionMistakes() []Misconfiguration {
	admission := func(name, doc string, scope Scope, make func(*Admission)) Misconfiguration {
		return Misconfiguration{Name: name, Doc: doc, Scope: scope, Apply: func(p *Policy) { make(&p.Admission) }}
	}
	return []Misconfiguration{
		admission("admission-audit-only",
			"Objects that violate the admission policies are logged and accepted. "+
				"Istio, Linkerd and Consul: a ValidatingAdmissionPolicyBinding whose validationActions are only Audit or Warn, left over from a trial.",
			ScopeMesh, func(a *Admission) { a.AuditOnly = true }),
		admission("debug-for-workloads",
			"An ordinary account may run commands in the pods of its namespace, and add containers to them. "+
				"Istio, Linkerd and Consul: create on pods/exec, or patch on pods/ephemeralcontainers, outside an emergency role. The role edit includes the first.",
			ScopeRange, func(a *Admission) { a.Debug = true }),
		admission("injector-fails-open",
			"While the injector is down, pods that ask for a proxy are created without one. "+
				"Istio and Consul: failurePolicy Ignore in the webhook's configuration. Linkerd: the default.",
			ScopeMesh, func(a *Admission) { a.FailOpen = true }),
		admission("injector-for-workloads",
			"An ordinary account may change the injection webhooks and the labels of namespaces. "+
				"Istio, Linkerd and Consul: patch on mutatingwebhookconfigurations or on namespaces, as operators and installers request.",
			ScopeMesh, func(a *Admission) { a.Injector = true }),
	}
}
