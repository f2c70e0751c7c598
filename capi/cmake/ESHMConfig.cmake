# The package `ESHM`: ESHM for C, and for C++ programs written for ESHM 1.x.
#
#   find_package(ESHM REQUIRED)                     # static
#   find_package(ESHM REQUIRED COMPONENTS shared)
#   target_link_libraries(app PRIVATE ESHM::eshm)
#
# ESHM::eshm is one of ESHM::eshm_static and ESHM::eshm_shared, which both exist always. (The package `eshm`, in
# small letters, is the interface for C++17.)

cmake_minimum_required(VERSION 3.15)
include(CMakeFindDependencyMacro)
find_dependency(Threads)

# Relative to this file, so that the prefix can be moved.
get_filename_component(_ESHM_prefix "${CMAKE_CURRENT_LIST_DIR}/@PREFIX@" REALPATH)

set(_ESHM_kind static)
foreach(_ESHM_component IN LISTS ESHM_FIND_COMPONENTS)
  if(_ESHM_component MATCHES "^(static|shared)$")
    set(_ESHM_kind ${_ESHM_component})
    set(ESHM_${_ESHM_component}_FOUND TRUE)
  elseif(ESHM_FIND_REQUIRED_${_ESHM_component})
    set(ESHM_FOUND FALSE)
    set(ESHM_NOT_FOUND_MESSAGE "ESHM has the components static and shared, not '${_ESHM_component}'")
    return()
  endif()
endforeach()

if(NOT TARGET ESHM::eshm_static)
  add_library(ESHM::eshm_static STATIC IMPORTED)
  set_target_properties(ESHM::eshm_static PROPERTIES
    IMPORTED_LOCATION "${_ESHM_prefix}/@LIBDIR@/libeshm.a"
    IMPORTED_LINK_INTERFACE_LANGUAGES C
    INTERFACE_LINK_LIBRARIES "Threads::Threads;${CMAKE_DL_LIBS};m;rt")

  add_library(ESHM::eshm_shared SHARED IMPORTED)
  set_target_properties(ESHM::eshm_shared PROPERTIES
    IMPORTED_LOCATION "${_ESHM_prefix}/@LIBDIR@/libeshm.so.@VERSION@"
    IMPORTED_SONAME libeshm.so.@MAJOR@)

  foreach(_ESHM_target IN ITEMS ESHM::eshm_static ESHM::eshm_shared)
    set_target_properties(${_ESHM_target} PROPERTIES
      INTERFACE_INCLUDE_DIRECTORIES "${_ESHM_prefix}/@INCLUDEDIR@")
  endforeach()

  add_library(ESHM::eshm INTERFACE IMPORTED)
  set_target_properties(ESHM::eshm PROPERTIES INTERFACE_LINK_LIBRARIES ESHM::eshm_${_ESHM_kind})
endif()

set(ESHM_INCLUDE_DIRS "${_ESHM_prefix}/@INCLUDEDIR@")
set(ESHM_LIBRARIES ESHM::eshm)

unset(_ESHM_prefix)
unset(_ESHM_kind)
