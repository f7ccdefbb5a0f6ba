// SPDX-License-Identifier: Apache-2.0

// Package admission evaluates k8s/admission as the API server does: its own compiler, environment and cost budget.
// Only the decision is put together here; what the cluster adds (selectors of namespaces, finding the parameters) is left out.
package admission

import (
	"context"
	"fmt"

	registration "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	apiscel "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/cel/environment"

	celgo "github.com/google/cel-go/cel"
)

// Request is what a cluster would ask about.
type Request struct {
	Operation    admission.Operation
	Resource     string
	Subresource  string
	Kind         string
	Object, Old  runtime.Object
	Params       *corev1.ConfigMap
	MayManage    bool
	KubernetesAt string
}

type expression struct {
	name, text string
	kinds      []*celgo.Type
}

func (e expression) GetExpression() string      { return e.text }
func (e expression) ReturnTypes() []*celgo.Type { return e.kinds }
func (e expression) GetName() string            { return e.name }
func conditions(texts []string, kind *celgo.Type) []cel.ExpressionAccessor {
	all := make([]cel.ExpressionAccessor, len(texts))
	for i, text := range texts {
		if text != "" {
			all[i] = expression{text: text, kinds: []*celgo.Type{kind}}
		}
	}
	return all
}

// Verdict has the messages of all refusals, and the share of the API server's budget that finding them took.
type Verdict struct {
	Denied []string
	Cost   float64
}

// Evaluate runs a policy. An error is a defect of the policy: the API server would refuse the request (failurePolicy: Fail).
func Evaluate(policy *registration.ValidatingAdmissionPolicy, request Request) (Verdict, error) {
	compiler, err := cel.NewCompositedCompiler(environment.MustBaseEnvSet(version.MustParseGeneric(request.KubernetesAt)))
	if err != nil {
		return Verdict{}, err
	}
	declared := cel.OptionalVariableDeclarations{HasParams: policy.Spec.ParamKind != nil, HasAuthorizer: true}
	for _, variable := range policy.Spec.Variables {
		result := compiler.CompileAndStoreVariable(expression{name: variable.Name, text: variable.Expression, kinds: []*celgo.Type{celgo.AnyType, celgo.DynType}}, declared, environment.NewExpressions)
		if result.Error != nil {
			return Verdict{}, fmt.Errorf("variable %s: %v", variable.Name, result.Error)
		}
	}
	attributes := admission.NewAttributesRecord(request.Object, request.Old, schema.GroupVersionKind{Version: "v1", Kind: request.Kind}, "inference", "",
		schema.GroupVersionResource{Version: "v1", Resource: request.Resource}, request.Subresource, request.Operation, nil, false, &user.DefaultInfo{Name: "developer"})
	versioned := &admission.VersionedAttributes{Attributes: attributes, VersionedKind: attributes.GetKind()}
	versioned.VersionedObject.Set(request.Object)
	versioned.VersionedOldObject.Set(request.Old)
	bindings := cel.OptionalVariableBindings{Authorizer: manager(request.MayManage)}
	if request.Params != nil {
		bindings.VersionedParams = request.Params
	}
	asked := cel.CreateAdmissionRequest(attributes, metav1.GroupVersionResource{Version: "v1", Resource: request.Resource}, metav1.GroupVersionKind{Version: "v1", Kind: request.Kind})
	budget := int64(apiscel.RuntimeCELCostBudget)
	run := func(texts []string, kind *celgo.Type) ([]cel.EvaluationResult, error) {
		compiled := compiler.CompileCondition(conditions(texts, kind), declared, environment.NewExpressions)
		if failures := compiled.CompilationErrors(); len(failures) > 0 {
			return nil, failures[0]
		}
		results, left, err := compiled.ForInput(compiler.CreateContext(context.Background()), versioned, asked, bindings, &corev1.Namespace{}, budget)
		budget = left
		return results, err
	}

	var matching, checks, messages []string
	for _, condition := range policy.Spec.MatchConditions {
		matching = append(matching, condition.Expression)
	}
	for _, validation := range policy.Spec.Validations {
		checks = append(checks, validation.Expression)
		messages = append(messages, validation.MessageExpression)
	}
	matches, err := run(matching, celgo.BoolType)
	if err != nil {
		return Verdict{}, err
	}
	for _, match := range matches {
		if match.Error != nil {
			return Verdict{}, match.Error
		}
		if match.EvalResult.Value() != true {
			return Verdict{}, nil
		}
	}
	results, err := run(checks, celgo.BoolType)
	if err != nil {
		return Verdict{}, err
	}
	texts, err := run(messages, celgo.StringType)
	if err != nil {
		return Verdict{}, err
	}
	verdict := Verdict{Cost: 1 - float64(budget)/float64(apiscel.RuntimeCELCostBudget)}
	for i, result := range results {
		if result.Error != nil {
			return verdict, fmt.Errorf("%s: %w", checks[i], result.Error)
		}
		if result.EvalResult.Value() == true {
			continue
		}
		message := policy.Spec.Validations[i].Message
		if messages[i] != "" {
			if texts[i].Error != nil {
				return verdict, fmt.Errorf("%s: %w", messages[i], texts[i].Error)
			}
			message = fmt.Sprint(texts[i].EvalResult.Value())
		}
		verdict.Denied = append(verdict.Denied, message)
	}
	return verdict, nil
}

type manager bool

func (may manager) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if bool(may) && a.GetAPIGroup() == "model-gate" && a.GetResource() == "floors" && a.GetVerb() == "manage" {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}
