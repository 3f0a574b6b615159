# The CUDA backend: src/backend/cuda*.c and kernels/cuda/*.cu, by nvcc, or - for tests - by the C++ compiler against
# the emulator of tests/emulator, which runs the same source on the processor.
set(TOYSWEEP_CUDA AUTO CACHE STRING "Build the CUDA backend: AUTO (if nvcc is found), ON or OFF")
set_property(CACHE TOYSWEEP_CUDA PROPERTY STRINGS AUTO ON OFF)
option(TOYSWEEP_EMULATE "Build the CUDA backend against the emulator, for tests" OFF)

file(GLOB cuda_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/backend/cuda*.c)
file(GLOB cuda_kernels CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/kernels/cuda/*.cu)

set(TOYSWEEP_HAVE_CUDA OFF)
if(TOYSWEEP_EMULATE)
  set(TOYSWEEP_HAVE_CUDA EMULATED)
  enable_language(CXX)
elseif(TOYSWEEP_CUDA)
  include(CheckLanguage)
  if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX} AND EXISTS /usr/local/cuda/bin/nvcc)
    set(CMAKE_CUDA_COMPILER /usr/local/cuda/bin/nvcc)
  endif()
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER AND NOT CMAKE_CUDA_ARCHITECTURES)
    # A100, H100, Blackwell (which nvcc knows from 12.8 on); what is newer is compiled from the last when it starts.
    execute_process(COMMAND ${CMAKE_CUDA_COMPILER} --list-gpu-arch OUTPUT_VARIABLE known ERROR_QUIET)
    if(known MATCHES "compute_90" AND NOT known MATCHES "compute_100")
      set(CMAKE_CUDA_ARCHITECTURES 80-real 90a-real 90-virtual)
    else()
      set(CMAKE_CUDA_ARCHITECTURES 80-real 90a-real 100)
    endif()
  endif()
  if(CMAKE_CUDA_COMPILER)
    enable_language(CUDA)
    find_package(CUDAToolkit REQUIRED)
    set(TOYSWEEP_HAVE_CUDA ON)
  elseif(NOT TOYSWEEP_CUDA STREQUAL "AUTO")
    message(FATAL_ERROR "TOYSWEEP_CUDA=ON, but nvcc is not found: load your cluster's CUDA module or set CUDACXX")
  endif()
endif()
message(STATUS "CUDA backend: ${TOYSWEEP_HAVE_CUDA}")

# Adds the backend to the library `target`.
function(toysweep_add_cuda target)
  if(NOT TOYSWEEP_HAVE_CUDA)
    return()
  endif()
  target_sources(${target} PRIVATE ${cuda_sources})
  target_compile_definitions(${target} PUBLIC TS_HAVE_CUDA)
  if(NOT cuda_kernels)
    file(WRITE ${CMAKE_BINARY_DIR}/none.cu "")
    set(cuda_kernels ${CMAKE_BINARY_DIR}/none.cu)
  endif()
  add_library(kernels_cuda OBJECT ${cuda_kernels})
  target_include_directories(kernels_cuda PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/kernels)
  target_sources(${target} PRIVATE $<TARGET_OBJECTS:kernels_cuda>)
  if(TOYSWEEP_EMULATE)
    target_link_libraries(kernels_cuda PRIVATE emulator)
    target_link_libraries(${target} PUBLIC emulator)
    set_source_files_properties(${cuda_kernels} TARGET_DIRECTORY kernels_cuda PROPERTIES LANGUAGE CXX)
    # Multiply-adds are fused only where kernels say so. (nvcc fuses others, too: a GPU's bits are its own.)
    target_compile_options(kernels_cuda PRIVATE -x c++ -std=c++20 -O3 -g -Wall -Wextra -Wno-unknown-pragmas
                           -Wno-unused-function -ffp-contract=off ${sanitizer_options}
                           # What the address sanitizer sees too, at a price for every access.
                           -fno-sanitize=null,object-size,pointer-overflow,vptr)
    set_source_files_properties(${CMAKE_SOURCE_DIR}/src/backend/cuda_libraries.c PROPERTIES COMPILE_DEFINITIONS
      "TS_CUBLAS_LIBRARY=\"$<TARGET_FILE:emulator>\";TS_NCCL_LIBRARY=\"$<TARGET_FILE:emulator>\"")
  else()
    target_include_directories(${target} SYSTEM PUBLIC ${CUDAToolkit_INCLUDE_DIRS})
    target_link_libraries(${target} PUBLIC CUDA::cudart_static ${CMAKE_DL_LIBS})
    target_compile_options(kernels_cuda PRIVATE -std=c++17
      -Xcompiler=-Wall,-fno-exceptions,-fno-rtti,-fno-threadsafe-statics
      # A kernel that spills, or keeps arrays outside registers, is a mistake.
      $<$<BOOL:${TOYSWEEP_WERROR}>:-Xptxas=-warn-spills,-warn-lmem-usage,-Werror>)
  endif()
endfunction()

# nvcc's objects need nothing of C++ at run time: everything is linked as C.
function(toysweep_link_as_c directory)
  get_property(targets DIRECTORY ${directory} PROPERTY BUILDSYSTEM_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(type ${target} TYPE)
    if(TOYSWEEP_HAVE_CUDA STREQUAL "ON" AND type STREQUAL "EXECUTABLE")
      set_target_properties(${target} PROPERTIES LINKER_LANGUAGE C)
    endif()
  endforeach()
endfunction()
