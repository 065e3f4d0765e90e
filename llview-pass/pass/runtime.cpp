// SPDX-License-Identifier: GPL-2.0-only
// Calls of the runtime, as declared in llview_abi.h.
#include "llview.hpp"

#include <llvm/ADT/StringSet.h>
#include <llvm/IR/MDBuilder.h>
#include <llvm/Transforms/Utils/BasicBlockUtils.h>

using namespace llvm;

namespace llview
{

Runtime::Runtime(Module &M) : M(M), Ctx(M.getContext())
{
	I64 = Type::getInt64Ty(Ctx);
	I32 = Type::getInt32Ty(Ctx);
	Ptr = PointerType::get(Ctx, 0);
}

FunctionCallee Runtime::get(StringRef Name, Type *Ret, ArrayRef<Type *> Args)
{
	FunctionCallee Callee = M.getOrInsertFunction(Name, FunctionType::get(Ret, Args, false));

	if (auto *F = dyn_cast<Function>(Callee.getCallee())) {
		F->addFnAttr(Attribute::NoUnwind);
		F->setVisibility(GlobalValue::HiddenVisibility);
	}
	return Callee;
}

Constant *Runtime::text(StringRef Text)
{
	Constant *&C = Texts[Text];

	if (!C) {
		Constant *Data = ConstantDataArray::getString(Ctx, Text);
		auto *G = new GlobalVariable(M, Data->getType(), true, GlobalValue::PrivateLinkage,
					     Data, ".llv.text");
		G->setUnnamedAddr(GlobalValue::UnnamedAddr::Global);
		C = G;
	}
	return C;
}

Value *Runtime::value(IRBuilder<> &B, GlobalVariable *Reloc)
{
	FunctionCallee Callee = get("ovm_llv_rt_value", I64, {Ptr});

	// Equal calls give equal values; that it may leave is why it can't be moved before a test
	// for existence: it isn't marked as returning.
	cast<Function>(Callee.getCallee())->setMemoryEffects(MemoryEffects::none());
	return B.CreateCall(Callee, {Reloc});
}

Value *Runtime::field(IRBuilder<> &B, Value *Base, GlobalVariable *Reloc)
{
	return B.CreateCall(get("ovm_llv_rt_field", I64, {I64, Ptr}), {Base, Reloc});
}

Value *Runtime::load(IRBuilder<> &B, Value *Address, Value *Size, StringRef Site)
{
	return B.CreateCall(get("ovm_llv_rt_load", I64, {I64, I32, Ptr}),
			    {Address, Size, text(Site)});
}

void Runtime::copy(IRBuilder<> &B, Value *Dst, Value *Address, Value *Size, StringRef Site)
{
	if (Dst->getType() != Ptr)
		Dst = B.CreateAddrSpaceCast(Dst, Ptr);
	B.CreateCall(get("ovm_llv_rt_copy", Type::getVoidTy(Ctx), {Ptr, I64, I64, Ptr}),
		     {Dst, Address, Size, text(Site)});
}

void Runtime::tick(IRBuilder<> &B, StringRef Site)
{
	B.CreateCall(get("ovm_llv_rt_tick", Type::getVoidTy(Ctx), {Ptr}), {text(Site)});
}

void Runtime::enter(IRBuilder<> &B, StringRef Site)
{
	B.CreateCall(get("ovm_llv_rt_enter", Type::getVoidTy(Ctx), {Ptr}), {text(Site)});
}

void Runtime::leave(IRBuilder<> &B)
{
	B.CreateCall(get("ovm_llv_rt_leave", Type::getVoidTy(Ctx), {}), {});
}

void Runtime::trap(IRBuilder<> &B, StringRef What, StringRef Site)
{
	FunctionCallee Callee = get("ovm_llv_rt_trap", Type::getVoidTy(Ctx), {Ptr, Ptr});

	cast<Function>(Callee.getCallee())->addFnAttr(Attribute::NoReturn);
	B.CreateCall(Callee, {text(What), text(Site)})->setDoesNotReturn();
}

void Runtime::trapIf(Instruction *Before, Value *Bad, StringRef What, StringRef Site)
{
	MDNode *Unlikely = MDBuilder(Ctx).createBranchWeights(1, 1000000);
	Instruction *Then = SplitBlockAndInsertIfThen(Bad, Before->getIterator(), true, Unlikely);
	IRBuilder<> B(Then);

	trap(B, What, Site);
}

bool Runtime::isCallable(StringRef Name)
{
	static const StringSet<> Names{
		"ovm_llv_rt_alloc",	 "ovm_llv_rt_bytes",	"ovm_llv_rt_string",
		"ovm_llv_rt_host_bytes", "ovm_llv_rt_concat",	"ovm_llv_rt_strcpy",
		"ovm_llv_rt_streq",	 "ovm_llv_rt_readable", "ovm_llv_rt_fail",
		"ovm_llv_rt_value",	 "ovm_llv_rt_field",	"ovm_llv_rt_load",
		"ovm_llv_rt_copy",	 "ovm_llv_rt_tick",	"ovm_llv_rt_enter",
		"ovm_llv_rt_leave",	 "ovm_llv_rt_trap",
	};

	return Names.contains(Name);
}

} // namespace llview
