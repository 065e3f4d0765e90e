// SPDX-License-Identifier: GPL-2.0-only
// Diagnostics, provenance of pointers.
#include "llview.hpp"

#include <llvm/IR/DiagnosticInfo.h>
#include <llvm/IR/Operator.h>
#include <llvm/Support/Path.h>

using namespace llvm;

namespace llview
{

static const DILocation *outermost(const DILocation *Loc)
{
	while (Loc && Loc->getInlinedAt())
		Loc = Loc->getInlinedAt();
	return Loc;
}

static std::string place(const DILocation *Loc)
{
	return (sys::path::filename(Loc->getFilename()) + ":" + Twine(Loc->getLine())).str();
}

std::string siteOf(const Instruction &I)
{
	const DILocation *Loc = outermost(I.getDebugLoc().get());

	if (Loc && Loc->getLine())
		return place(Loc);
	if (const DISubprogram *S = I.getFunction()->getSubprogram())
		return (sys::path::filename(S->getFilename()) + ":" + Twine(S->getLine())).str();
	return I.getFunction()->getName().str();
}

void Diagnostics::error(const Instruction &I, const Twine &Message)
{
	const DILocation *Loc = I.getDebugLoc().get();
	std::string Text = Message.str();

	if (Loc && Loc->getInlinedAt())
		Text += " (inlined at " + place(outermost(Loc)) + ")";
	Count++;
	std::string Key = siteOf(I) + Text;
	if (Seen[Key])
		return;
	Seen[Key] = true;
	I.getContext().diagnose(DiagnosticInfoUnsupported(*I.getFunction(), Text, I.getDebugLoc()));
}

void Diagnostics::error(const Function &F, const Twine &Message)
{
	Count++;
	F.getContext().diagnose(
		DiagnosticInfoUnsupported(F, Message.str(), DiagnosticLocation(F.getSubprogram())));
}

bool isEntry(const Function &F)
{
	return F.getSection() == ".text.llv_entry";
}

bool isShared(const Function &F)
{
	return F.getSection() == ".text.llv_shared";
}

bool isPreserve(const Value *V)
{
	auto *II = dyn_cast<IntrinsicInst>(V);

	if (!II)
		return false;
	switch (II->getIntrinsicID()) {
	case Intrinsic::preserve_struct_access_index:
	case Intrinsic::preserve_union_access_index:
	case Intrinsic::preserve_array_access_index:
		return true;
	default:
		return false;
	}
}

const Value *baseOf(const Value *V)
{
	for (;;) {
		if (auto *G = dyn_cast<GEPOperator>(V))
			V = G->getPointerOperand();
		else if (isPreserve(V))
			V = cast<CallInst>(V)->getArgOperand(0);
		else if (auto *C = dyn_cast<AddrSpaceCastOperator>(V))
			V = C->getPointerOperand();
		else if (auto *Fr = dyn_cast<FreezeInst>(V))
			V = Fr->getOperand(0);
		else
			return V;
	}
}

bool holdsHostPointer(const Type *T)
{
	if (auto *P = dyn_cast<PointerType>(T))
		return P->getAddressSpace() == HostAS;
	for (const Type *Sub : T->subtypes())
		if (holdsHostPointer(Sub))
			return true;
	return false;
}

static Origin merge(Origin A, Origin B)
{
	if (A == Origin::Null)
		return B;
	if (B == Origin::Null || A == B)
		return A;
	return Origin::Mixed;
}

Origin Provenance::of(const Value *V)
{
	V = baseOf(V);
	auto It = Cache.find(V);
	if (It != Cache.end())
		return It->second;
	return Cache[V] = compute(V);
}

// The merge over all values that phis and selects lead to, taken as one set: results on the way
// round a loop would be half-known.
Origin Provenance::compute(const Value *Start)
{
	SmallVector<const Value *, 8> Work{Start};
	SmallPtrSet<const Value *, 8> Visited;
	Origin Result = Origin::Null;
	bool SawNull = false, Merged = false;

	while (!Work.empty()) {
		const Value *V = baseOf(Work.pop_back_val());

		if (!Visited.insert(V).second)
			continue;
		if (auto *Phi = dyn_cast<PHINode>(V)) {
			Merged = true;
			for (const Value *In : Phi->incoming_values())
				Work.push_back(In);
		} else if (auto *Sel = dyn_cast<SelectInst>(V)) {
			Merged = true;
			Work.push_back(Sel->getTrueValue());
			Work.push_back(Sel->getFalseValue());
		} else if (isa<ConstantPointerNull>(V) || isa<UndefValue>(V)) {
			SawNull = true;
		} else if (isa<AllocaInst>(V)) {
			Result = merge(Result, Origin::Host);
		} else if (auto *G = dyn_cast<GlobalVariable>(V); G && G->hasInitializer()) {
			Result = merge(Result, Origin::Host);
		} else {
			// Loads, arguments, results, integers: only ever the guest's.
			Result = merge(Result, Origin::Guest);
		}
	}
	// A local variable or null: a native access would have to be guarded.
	if (Merged && SawNull && Result == Origin::Host)
		return Origin::Mixed;
	return Result;
}

const DIType *stripped(const DIType *T)
{
	while (auto *D = dyn_cast_or_null<DIDerivedType>(T)) {
		switch (D->getTag()) {
		case dwarf::DW_TAG_typedef:
		case dwarf::DW_TAG_const_type:
		case dwarf::DW_TAG_volatile_type:
		case dwarf::DW_TAG_restrict_type:
		case dwarf::DW_TAG_atomic_type:
			T = D->getBaseType();
			continue;
		default:
			return T;
		}
	}
	return T;
}

} // namespace llview
