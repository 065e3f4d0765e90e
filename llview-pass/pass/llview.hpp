// SPDX-License-Identifier: GPL-2.0-only
//
// Parts of the LLView pass and what they share. Order of work:
//
//   prepare   everything but entry points and shared functions is inlined, locals become
//             registers, dead code goes: what is left is what would run
//   relocate  descriptors (struct ovm_llv_reloc) for members, types, symbols
//   lower     guest accesses become calls of the runtime
//   guard     host accesses get bounds and null checks; loops a tick
//   verify    nothing is left that could touch memory by a guest-chosen address
#pragma once

#include <llvm/ADT/DenseMap.h>
#include <llvm/BinaryFormat/Dwarf.h>
#include <llvm/ADT/MapVector.h>
#include <llvm/ADT/StringMap.h>
#include <llvm/IR/DebugInfo.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Instructions.h>
#include <llvm/IR/IntrinsicInst.h>
#include <llvm/IR/Module.h>
#include <llvm/IR/PassManager.h>

#include <optional>
#include <string>

#include "../llview_abi.h"

namespace llview
{

enum : unsigned { GuestAS = 0, HostAS = 1 };

/** Reports build errors; the build fails when there was one. */
class Diagnostics
{
public:
	/** Once for each place and text. */
	void error(const llvm::Instruction &I, const llvm::Twine &Message);
	void error(const llvm::Function &F, const llvm::Twine &Message);
	bool failed() const
	{
		return Count != 0;
	}

private:
	unsigned Count = 0;
	llvm::StringMap<bool> Seen;
};

/** "file.c:123" of an instruction: the place in the extractor, not in an inlined header. */
std::string siteOf(const llvm::Instruction &I);

bool isEntry(const llvm::Function &F);
bool isShared(const llvm::Function &F);
/** An entry point or shared function, which stays a function. */
inline bool isRoot(const llvm::Function &F)
{
	return isEntry(F) || isShared(F);
}

/** What a plain pointer may point to. */
enum class Origin {
	/** Null or undefined: fits anything. */
	Null,
	/** An address in the guest, or an integer that somebody made a pointer. */
	Guest,
	/** A local variable or a constant of the module. */
	Host,
	/** Now this, now that. */
	Mixed,
};

/** Where plain pointers come from; valid until pointers are rewritten. */
class Provenance
{
public:
	Origin of(const llvm::Value *V);

private:
	Origin compute(const llvm::Value *V);
	llvm::DenseMap<const llvm::Value *, Origin> Cache;
};

/** The object that a chain of GEPs, preserved accesses and casts starts at. */
const llvm::Value *baseOf(const llvm::Value *V);
inline llvm::Value *baseOf(llvm::Value *V)
{
	return const_cast<llvm::Value *>(baseOf(const_cast<const llvm::Value *>(V)));
}

/** Whether a call is one of the llvm.preserve.*.access.index intrinsics. */
bool isPreserve(const llvm::Value *V);

/** Whether a value of this type holds a pointer to host memory. */
bool holdsHostPointer(const llvm::Type *T);

/** The runtime's functions, and helpers to call them. */
class Runtime
{
public:
	explicit Runtime(llvm::Module &M);

	llvm::Value *value(llvm::IRBuilder<> &B, llvm::GlobalVariable *Reloc);
	llvm::Value *field(llvm::IRBuilder<> &B, llvm::Value *Base, llvm::GlobalVariable *Reloc);
	llvm::Value *load(llvm::IRBuilder<> &B, llvm::Value *Address, llvm::Value *Size,
			  llvm::StringRef Site);
	void copy(llvm::IRBuilder<> &B, llvm::Value *Dst, llvm::Value *Address, llvm::Value *Size,
		  llvm::StringRef Site);
	void tick(llvm::IRBuilder<> &B, llvm::StringRef Site);
	void enter(llvm::IRBuilder<> &B, llvm::StringRef Site);
	void leave(llvm::IRBuilder<> &B);
	/** Leave with an error when @Bad; the builder goes on behind the check. */
	void trapIf(llvm::Instruction *Before, llvm::Value *Bad, llvm::StringRef What,
		    llvm::StringRef Site);
	void trap(llvm::IRBuilder<> &B, llvm::StringRef What, llvm::StringRef Site);
	/** A constant string, shared by equal ones. */
	llvm::Constant *text(llvm::StringRef Text);

	/** Whether extractors may call the function by that name. */
	static bool isCallable(llvm::StringRef Name);

private:
	llvm::FunctionCallee get(llvm::StringRef Name, llvm::Type *Ret,
				 llvm::ArrayRef<llvm::Type *> Args);

	llvm::Module &M;
	llvm::LLVMContext &Ctx;
	llvm::Type *I64, *I32, *Ptr;
	llvm::StringMap<llvm::Constant *> Texts;
};

/** A member access: names from a type that BTF knows to the member. */
struct Path {
	/** What the first offset is added to. */
	llvm::Value *Root = nullptr;
	std::string Type;
	std::string Members;
	/** Type of the member that the path ends at, qualifiers and typedefs removed; may be null.
	 */
	const llvm::DIType *End = nullptr;
	/** Dimensions of an array type End that the path has indexed already. */
	unsigned Dimensions = 0;
	/** Set when the path ends at a bit-field: width, and offset in the unit that clang loads.
	 */
	unsigned Bits = 0, BitOffset = 0;
	/** Members of the offset to take off again (element of an array of nameless structures). */
	std::string Origin;
};

/** Types by name, and paths and descriptors. */
class Relocations
{
public:
	Relocations(llvm::Module &M, Runtime &RT, Diagnostics &Diag);

	/** The path that a preserved access ends; none when it has no name (an error was given). */
	std::optional<Path> pathOf(llvm::Value *V);

	llvm::GlobalVariable *make(ovm_llv_reloc_kind Kind, llvm::StringRef Type,
				   llvm::StringRef Members, unsigned Flags, unsigned Size,
				   const llvm::Instruction &At);

	/** Size in the guest of the elements of @T, an IR type; none when it has no name. */
	llvm::Value *sizeInGuest(llvm::IRBuilder<> &B, llvm::Type *T, const llvm::Instruction &At);

	/** Check that a structure lies in the guest as it does here: a descriptor, or null. */
	llvm::GlobalVariable *layout(const llvm::DIType *T, const llvm::Instruction &At);
	const llvm::DICompositeType *composite(const llvm::Type *T) const;

	const llvm::DataLayout &dataLayout() const
	{
		return M.getDataLayout();
	}

private:
	std::string nameOf(const llvm::DICompositeType *C) const;
	bool appendLayout(const llvm::DICompositeType *C, const std::string &Prefix,
			  uint64_t BitOffset, std::string &Out, unsigned &Leaves) const;

	llvm::Module &M;
	Runtime &RT;
	Diagnostics &Diag;
	llvm::DenseMap<const llvm::DICompositeType *, std::string> Typedefs;
	llvm::StringMap<const llvm::DICompositeType *> Composites;
	llvm::StringMap<llvm::GlobalVariable *> Made;
};

/** Remove qualifiers and typedefs. */
const llvm::DIType *stripped(const llvm::DIType *T);

void prepare(llvm::Module &M, llvm::ModuleAnalysisManager &MAM, Diagnostics &Diag);
/** Struct copies, which prepare() hides from SROA until their source is known. */
bool isHiddenCopy(const llvm::Instruction &I);

/** Turn the guest accesses of a function into calls; host accesses become plain ones. */
class Lowering
{
public:
	Lowering(llvm::Function &F, Runtime &RT, Relocations &Rel, Diagnostics &Diag)
	    : F(F), RT(RT), Rel(Rel), Diag(Diag)
	{
	}
	void run();

private:
	void lowerQuestions();
	void lowerLoad(llvm::LoadInst &L);
	void lowerCopy(llvm::CallInst &C);
	void lowerPreserve(llvm::CallInst &C);
	void lowerGEP(llvm::GetElementPtrInst &G);
	llvm::Value *offsetOf(llvm::IRBuilder<> &B, const Path &P, ovm_llv_reloc_kind Kind,
			      unsigned Size, const llvm::Instruction &At);
	llvm::Value *strideOf(llvm::IRBuilder<> &B, llvm::Type *T, llvm::GetElementPtrInst &G);
	llvm::Value *gepOffset(llvm::IRBuilder<> &B, llvm::GetElementPtrInst &G);
	llvm::Value *fieldQuestion(llvm::CallInst &C);
	llvm::Value *pathQuestion(llvm::CallInst &C);
	void replace(llvm::Instruction &I, llvm::Value *V);

	llvm::Function &F;
	Runtime &RT;
	Relocations &Rel;
	Diagnostics &Diag;
	Provenance Prov;
};

/** Make each preserved access to host memory an ordinary GEP; whether any was. */
bool lowerHostAccesses(llvm::Function &F);

void lowerSymbols(llvm::Module &M, Runtime &RT, Relocations &Rel, Diagnostics &Diag);

/** Insert the run-time checks of host accesses, divisions, loops. */
void guard(llvm::Function &F, Runtime &RT, Diagnostics &Diag);

/** Refuse what is left and must not be. */
void verify(llvm::Module &M, Diagnostics &Diag);

} // namespace llview
