# SPDX-License-Identifier: GPL-2.0-only
#
# Compiles CUDA where there is an nvcc. It is called by hand: a CUDA language in CMake would make all
# that is linked with this a matter of C++.
#
# OVM_CUDA_CODES: for which GPUs, as nvcc's options; empty in builds without CUDA.
# OVM_CUDART: the runtime, which is linked statically.
set(OVM_CUDA AUTO CACHE STRING "Build the CUDA part: ON, OFF or AUTO")
set(OVM_CUDA_ARCHITECTURES "75-virtual;90-real" CACHE STRING
    "Kinds of GPUs (-real: code, -virtual: PTX, which the driver compiles at first use), or ALL")

if(NOT OVM_CUDA STREQUAL "OFF")
  find_program(OVM_NVCC nvcc HINTS $ENV{CUDA_HOME}/bin /usr/local/cuda/bin)
  mark_as_advanced(OVM_NVCC)
  if(OVM_NVCC)
    file(REAL_PATH ${OVM_NVCC} cuda)
    cmake_path(GET cuda PARENT_PATH cuda)
    cmake_path(GET cuda PARENT_PATH cuda)
    find_library(OVM_CUDART cudart_static HINTS ${cuda}/lib64 ${cuda}/lib
                 ${cuda}/targets/x86_64-linux/lib $ENV{CUDA_HOME}/lib64 /usr/local/cuda/lib64)
    mark_as_advanced(OVM_CUDART)
  endif()
  if(OVM_CUDA STREQUAL "ON" AND NOT (OVM_NVCC AND OVM_CUDART))
    message(FATAL_ERROR "OVM_CUDA is ON, but there is no nvcc, or no cudart_static: set CUDA_HOME")
  endif()
endif()

set(codes)
if(NOT OVM_CUDA STREQUAL "OFF" AND OVM_NVCC AND OVM_CUDART)
  set(architectures ${OVM_CUDA_ARCHITECTURES})
  if(architectures STREQUAL "ALL")
    set(architectures 75-real 80-real 86-real 89-real 90-real 100-real 120-real 75-virtual
        120-virtual)
  endif()
  foreach(architecture IN LISTS architectures)
    string(REGEX MATCH "^[0-9]+" number ${architecture})
    if(architecture MATCHES "-virtual$")
      list(APPEND codes -gencode arch=compute_${number},code=compute_${number})
    else()
      list(APPEND codes -gencode arch=compute_${number},code=sm_${number})
    endif()
  endforeach()
endif()
set(OVM_CUDA_CODES ${codes} CACHE INTERNAL "")

# Make an object file of a CUDA source; what follows are options of the host's compiler.
function(ovm_cuda_object source object)
  list(JOIN ARGN "," options)
  set(warnings -Wall,-Wextra)
  if(NOT DEFINED OVM_WERROR OR OVM_WERROR)
    string(APPEND warnings ",-Werror")
    set(strict -Werror all-warnings)
  endif()
  if(options)
    set(options ",${options}")
  endif()
  add_custom_command(
    OUTPUT ${object}
    COMMAND ${OVM_NVCC} -c ${source} -o ${object} -std=c++17 -O2 ${OVM_CUDA_CODES}
            -I${CMAKE_CURRENT_FUNCTION_LIST_DIR}/.. -D_GNU_SOURCE -MD -MF ${object}.d ${strict}
            -Xcompiler ${warnings},-fPIC,-fvisibility=hidden${options}
    DEPENDS ${source} ${OVM_NVCC}
    DEPFILE ${object}.d
    COMMENT "Building CUDA object ${object}"
    VERBATIM)
  set_source_files_properties(${object} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
endfunction()
