# The package `eshm`: ESHM for C++17 and later.
#
#   find_package(eshm 2 REQUIRED)                     # static
#   find_package(eshm 2 REQUIRED COMPONENTS shared)
#   target_link_libraries(app PRIVATE eshm::eshm)
#
#   find_package(eshm 2 REQUIRED COMPONENTS asio)     # with standalone Asio, or boost_asio: with Boost's
#   target_link_libraries(app PRIVATE eshm::asio)     # or eshm::boost_asio
#
# eshm::eshm is one of eshm::eshm_static and eshm::eshm_shared, which both exist always. The file is named
# eshmConfig and not eshm-config, which find_package(ESHM) would take for its own.

cmake_minimum_required(VERSION 3.15)
include(CMakeFindDependencyMacro)
find_dependency(Threads)

# Relative to this file, so that the prefix can be moved.
get_filename_component(_eshm_prefix "${CMAKE_CURRENT_LIST_DIR}/@PREFIX@" REALPATH)

set(_eshm_kind static)
set(_eshm_asio)
foreach(_eshm_component IN LISTS eshm_FIND_COMPONENTS)
  if(_eshm_component MATCHES "^(static|shared)$")
    set(_eshm_kind ${_eshm_component})
    set(eshm_${_eshm_component}_FOUND TRUE)
  elseif(_eshm_component MATCHES "^(asio|boost_asio)$")
    list(APPEND _eshm_asio ${_eshm_component})
  elseif(eshm_FIND_REQUIRED_${_eshm_component})
    set(eshm_FOUND FALSE)
    set(eshm_NOT_FOUND_MESSAGE "eshm has the components static, shared, asio and boost_asio, not '${_eshm_component}'")
    return()
  endif()
endforeach()

if(NOT TARGET eshm::eshm_static)
  add_library(eshm::eshm_static STATIC IMPORTED)
  set_target_properties(eshm::eshm_static PROPERTIES
    IMPORTED_LOCATION "${_eshm_prefix}/@LIBDIR@/libeshm_cpp.a"
    IMPORTED_LINK_INTERFACE_LANGUAGES CXX
    INTERFACE_LINK_LIBRARIES "Threads::Threads;${CMAKE_DL_LIBS};m;rt")

  add_library(eshm::eshm_shared SHARED IMPORTED)
  set_target_properties(eshm::eshm_shared PROPERTIES
    IMPORTED_LOCATION "${_eshm_prefix}/@LIBDIR@/libeshm_cpp.so.@VERSION@"
    IMPORTED_SONAME libeshm_cpp.so.@MAJOR@)

  foreach(_eshm_target IN ITEMS eshm::eshm_static eshm::eshm_shared)
    set_target_properties(${_eshm_target} PROPERTIES
      INTERFACE_INCLUDE_DIRECTORIES "${_eshm_prefix}/@INCLUDEDIR@"
      INTERFACE_COMPILE_FEATURES cxx_std_17)
  endforeach()

  add_library(eshm::eshm INTERFACE IMPORTED)
  set_target_properties(eshm::eshm PROPERTIES INTERFACE_LINK_LIBRARIES eshm::eshm_${_eshm_kind})
endif()

# The directory of the headers of Asio may be set: eshm_asio_INCLUDE_DIR, eshm_boost_asio_INCLUDE_DIR.
foreach(_eshm_component IN LISTS _eshm_asio)
  set(_eshm_header asio.hpp)
  if(_eshm_component STREQUAL boost_asio)
    set(_eshm_header boost/asio.hpp)
  endif()
  find_path(eshm_${_eshm_component}_INCLUDE_DIR ${_eshm_header})
  mark_as_advanced(eshm_${_eshm_component}_INCLUDE_DIR)
  if(eshm_${_eshm_component}_INCLUDE_DIR)
    set(eshm_${_eshm_component}_FOUND TRUE)
    if(NOT TARGET eshm::${_eshm_component})
      add_library(eshm::${_eshm_component} INTERFACE IMPORTED)
      set_target_properties(eshm::${_eshm_component} PROPERTIES
        INTERFACE_LINK_LIBRARIES "eshm::eshm;Threads::Threads"
        INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${eshm_${_eshm_component}_INCLUDE_DIR}")
      if(_eshm_component STREQUAL boost_asio)
        set_target_properties(eshm::boost_asio PROPERTIES INTERFACE_COMPILE_DEFINITIONS ESHM_ASIO_BOOST)
      endif()
    endif()
  elseif(eshm_FIND_REQUIRED_${_eshm_component})
    set(eshm_FOUND FALSE)
    string(CONCAT eshm_NOT_FOUND_MESSAGE
      "the component ${_eshm_component} needs ${_eshm_header}, which is in no include directory: install libasio-dev or "
      "libboost-dev, or set eshm_${_eshm_component}_INCLUDE_DIR")
    return()
  endif()
endforeach()

unset(_eshm_asio)
unset(_eshm_header)
unset(_eshm_prefix)
unset(_eshm_kind)
